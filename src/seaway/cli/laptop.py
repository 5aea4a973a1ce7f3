"""seaway up | down | status | kubeconfig: the laptop's Kubernetes API."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

import click

from seaway.cli.cancel import delete_left, end
from seaway.errors import LaunchError
from seaway.local import daemon
from seaway.local.home import paths
from seaway.local.kfp import runs


@click.command("up")
@click.option("--detach", is_flag=True, help="Return as soon as it answers.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="On 127.0.0.1; by default 7443 or SEAWAY_PORT."
)
def up_command(detach: bool, port: int | None) -> None:
    """Serve the Kubernetes API on this laptop."""
    if detach:
        laptop = daemon.start(port)
        delete_left(laptop)
        click.echo(f"{laptop.url} is up (pid {laptop.pid})")
        click.echo(f"export KUBECONFIG={laptop.kubeconfig}")
        return
    click.echo(f"export KUBECONFIG={paths().kubeconfig}")
    threading.Thread(target=_tidy_when_up, daemon=True).start()
    daemon.serve(port)


def _tidy_when_up() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        laptop = daemon.status()
        if laptop is not None and laptop.pid == os.getpid():
            with contextlib.suppress(LaunchError):  # it ends already
                delete_left(laptop)
            return
        time.sleep(0.05)


@click.command("down")
def down_command() -> None:
    """End the laptop, every pod it runs, and the runs that need it."""
    for run in runs.every():
        if run.read()["state"] == "running":  # its jobs would begin anew with the next laptop
            end(run)
            click.echo(f"run {run.id} cancelled")
    click.echo("ended" if daemon.stop() else "was not up")


@click.command("status")
def status_command() -> None:
    """Whether the laptop is up, and what it runs."""
    laptop = daemon.status()
    if laptop is None:
        click.echo("not up: start it with `seaway up --detach`")
        sys.exit(3)
    click.echo(f"{laptop.url} is up (pid {laptop.pid}), kubeconfig {laptop.kubeconfig}")
    os.environ["KUBECONFIG"] = str(laptop.kubeconfig)
    from seaway.launch.api import Api
    from seaway.launch.service import INFERENCE_SERVICE, view

    for resource in Api.connect().list(INFERENCE_SERVICE):
        service = view(resource)
        state = "ready" if service.ready else "not ready"
        click.echo(f"InferenceService {service.name} version {service.version or '-'} {state} {service.url}")


@click.command("kubeconfig")
def kubeconfig_command() -> None:
    """Print the path of the laptop's kubeconfig."""
    click.echo(str(paths().kubeconfig))
