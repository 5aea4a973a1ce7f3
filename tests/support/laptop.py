"""A real laptop in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.waiting import until

if TYPE_CHECKING:
    from kubernetes import client


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class TestLaptop:
    """A laptop's home and process. Retries and crashes are waited for shortly (SEAWAY_BACKOFF_S)."""

    __test__ = False

    home: Path
    port: int = field(default_factory=free_port)
    backoff_s: float = 0.05
    process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        """Its kubeconfig."""
        return self.home / "kubeconfig"

    @property
    def token(self) -> str:
        """Its bearer token."""
        return (self.home / "token").read_text()

    @property
    def env(self) -> dict[str, str]:
        """An environment in which seaway and kubectl mean this laptop."""
        cache = {"HOME": str(self.home.parent), "KUBECACHEDIR": str(self.home.parent / "kube-cache")}
        return (
            os.environ
            | cache
            | {
                "SEAWAY_HOME": str(self.home),
                "SEAWAY_PORT": str(self.port),
                "SEAWAY_BACKOFF_S": str(self.backoff_s),
                "KUBECONFIG": str(self.kubeconfig),
            }
        )

    def start(self) -> TestLaptop:
        """Start it and wait until it answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        log = (self.home / "test.log").open("ab")
        command = [sys.executable, "-m", "seaway.local", "--port", str(self.port)]
        with log:
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        record = self.home / "laptop.json"

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.home / "test.log").read_text()
            return record.exists() and json.loads(record.read_text())["pid"] == self.process.pid

        until(answers, what="the laptop answers")
        return self

    def stop(self) -> None:
        """End it and its pods; nothing may have gone wrong inside."""
        self.end(signal.SIGTERM)
        said = (self.home / "test.log").read_text()
        assert "Traceback" not in said, said
        assert "ERROR" not in said, said

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Signal it and wait."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=20)
            self.process = None

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl prints, stdout and stderr together."""
        done = subprocess.run(
            ["kubectl", *arguments], env=self.env, input=stdin, capture_output=True, text=True, timeout=60
        )
        said = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {said}"
        return said

    def client(self) -> client.ApiClient:
        """The official client, for this laptop."""
        from kubernetes import config

        return config.new_client_from_config(str(self.kubeconfig))


@contextmanager
def running_laptop(home: Path) -> Iterator[TestLaptop]:
    """A laptop for the length of a block."""
    found = TestLaptop(home).start()
    try:
        yield found
    finally:
        found.stop()


def job(name: str, *command: str, policy: str = "Never", **spec: Any) -> dict[str, Any]:
    """A Job of one container; ``spec`` are fields of the JobSpec, ``container`` those of its container."""
    container = {"name": "main", "image": "busybox", "command": list(command)} | spec.pop("container", {})
    template = {"spec": {"restartPolicy": policy, "containers": [container]} | spec.pop("pod", {})}
    metadata = {"name": name}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec | {"template": template}}
