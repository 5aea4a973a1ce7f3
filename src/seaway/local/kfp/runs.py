"""Runs on the laptop: one folder a run, with run.json, a record a step, logs and artifacts.

runs/<id>/run.json      pipeline, parameters, state, times, process
runs/<id>/steps/        NN-component.json and .log, written by each step (seaway.observe.step)
runs/<id>/run.log       everything that the runner and the steps print
runs/<id>/artifacts/    KFP's pipeline root
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.errors import InputError
from seaway.local.home import home
from seaway.observe import trace


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The run's id, also the folder's name."""
        return self.folder.name

    def read(self) -> dict[str, Any]:
        """run.json; a run whose process is gone without an end is ``interrupted``."""
        state: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        if state["state"] == "running" and not _alive(state.get("pid", 0), state.get("pid_started", "")):
            state["state"] = "interrupted"
        return state

    def update(self, **changes: Any) -> None:
        """Change run.json, whole or not at all."""
        path = self.folder / "run.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**state, **changes}, ensure_ascii=False, indent=1))
        part.replace(path)

    def steps(self) -> list[dict[str, Any]]:
        """The records of the steps, in the order they started; a step whose process is gone is ``interrupted``."""
        found = []
        for path in sorted((self.folder / "steps").glob("[0-9]*.json")):
            try:
                record: dict[str, Any] = json.loads(path.read_text())
            except (ValueError, OSError):  # claimed a moment ago, not written yet
                continue
            if record["state"] == "running" and not _alive(record["pid"], ""):
                record["state"] = "interrupted"
            found.append(record)
        return found

    def log(self, step: str) -> Path:
        """The log of a step, named as in its record or as its component.

        Raises:
            InputError: the run has no such step.
        """
        names = [s["step"] for s in self.steps()]
        match = [n for n in names if step in (n, n.split("-", 1)[1], n.split("-", 1)[0])]
        if not match:
            raise InputError(f"step must be one of {names} of run {self.id}, found {step!r}")
        return self.folder / "steps" / f"{match[-1]}.log"


def create(pipeline: str, source: str, params: Mapping[str, Any]) -> Run:
    """A new run's folder, in state ``running`` with no process yet."""
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    run = Run(root() / f"{pipeline.replace('_', '-')}-{stamp}-{secrets.token_hex(2)}")
    run.folder.mkdir(parents=True, mode=0o700)
    run.update(
        id=run.id,
        pipeline=pipeline,
        source=source,
        params=dict(params),
        state="running",
        started=now(),
        trace_id=trace.trace_id(run.id),
        pid=os.getpid(),
        pid_started=started(os.getpid()),
    )
    return run


def every() -> list[Run]:
    """All runs, the newest first."""
    folders = [p.parent for p in root().glob("*/run.json")]
    return [Run(f) for f in sorted(folders, key=lambda f: (f / "run.json").stat().st_ctime, reverse=True)]


def find(name: str) -> Run:
    """The run of that id, of the only id that begins so, or the newest for ``last``.

    Raises:
        InputError: there is none, or several.
    """
    runs = every()
    match = (
        runs[:1] if name == "last" else [r for r in runs if r.id == name] or [r for r in runs if r.id.startswith(name)]
    )
    if len(match) != 1:
        known = ", ".join(r.id for r in runs[:5]) or "none"
        raise InputError(f"a run's id must name one run, {name!r} names {len(match)}; the newest are: {known}")
    return match[0]


def root() -> Path:
    """The folder of all runs."""
    return home() / "runs"


def now() -> str:
    """The time as RFC 3339, UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks: together with the pid it names the process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int, began: str) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return not began or started(pid) in ("", began)
