"""Steps that do not record themselves: a user's own components get a record and a log of the run too.

In: kfp.local's handler of one task. Out: the same, with a record as `seaway.observe.step` writes it. kfp.local has no
hook for this, so its handler is replaced by a subclass; what is recorded comes from the executor's input and output
files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp.local import status, subprocess_task_handler

from seaway.errors import SeawayError
from seaway.observe.step import Record

OBSERVER = "seaway.observe.step"
"""A component whose source names this records itself."""


class StepFailedError(SeawayError):
    """A component that is not Seaway's failed."""


class RecordedTaskHandler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc, unused-ignore]
    """Runs a task in a process, and records it if it does not do so itself."""

    full_command: list[str]
    env_vars: dict[str, str]

    def run(self) -> status.Status:
        """Run the task to its end."""
        if any(OBSERVER in part for part in self.full_command):
            return super().run()
        given = executor_input(self.full_command)
        record = Record(
            argument(self.full_command, "--function_to_execute") or "task", inputs(given), own_process=False
        )
        if record.log is not None and shutil.which("bash"):
            tee = ["bash", "-o", "pipefail", "-c", '"$@" 2>&1 | tee -a "$0"', str(record.log)]
            self.full_command = [*tee, *self.full_command]
        if record.traceparent:
            self.env_vars = {**self.env_vars, "TRACEPARENT": record.traceparent}
        found = super().run()
        if found == status.Status.SUCCESS:
            record.end("succeeded", outputs=outputs(given))
        else:
            record.end("failed", error=StepFailedError(f"its process failed; {record.log} has what it printed"))
        return found


def install() -> None:
    """Let kfp.local use `RecordedTaskHandler` in this process."""
    subprocess_task_handler.SubprocessTaskHandler = RecordedTaskHandler


def argument(command: list[str], name: str) -> str:
    """The value that follows ``name`` in a command; empty if it is not there."""
    return command[command.index(name) + 1] if name in command[:-1] else ""


def executor_input(command: list[str]) -> Mapping[str, Any]:
    """KFP's ExecutorInput of a task, as JSON."""
    found: Mapping[str, Any] = json.loads(argument(command, "--executor_input") or "{}")
    return found


def inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they are, artifacts by their URIs."""
    found = given.get("inputs", {})
    uris = {k: [a.get("uri") for a in v.get("artifacts", [])] for k, v in found.get("artifacts", {}).items()}
    return {**found.get("parameterValues", {}), **{k: v[0] if len(v) == 1 else v for k, v in uris.items()}}


def outputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that the task wrote, and the URIs of its artifacts."""
    found = given.get("outputs", {})
    uris = {k: a.get("uri") for k, v in found.get("artifacts", {}).items() for a in v.get("artifacts", [])}
    file = Path(found.get("outputFile", ""))
    written = json.loads(file.read_text()).get("parameterValues", {}) if file.is_file() else {}
    return {**written, **uris}
