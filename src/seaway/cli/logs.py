"""seaway logs: what a run's steps logged, for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from seaway.local.kfp import runs


@click.command("logs")
@click.argument("run", default="last")
@click.option("--step", default="", help="Only this step: its component's name or number.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--json", "as_json", is_flag=True, help="The structured lines as they are.")
def logs_command(run: str, step: str, follow: bool, as_json: bool) -> None:
    """Print the logs of RUN (an id, its beginning, or last)."""
    found = runs.find(run)
    for line in lines(found, step, follow=follow):
        click.echo(line if as_json else readable(line))


def lines(run: runs.Run, step: str, *, follow: bool) -> Iterator[str]:
    """Lines of one step's log, or of all in the order the steps started."""
    done: dict[Path, int] = {}
    while True:
        ended = run.read()["state"] != "running"
        chosen = [run.log(step)] if step else [run.folder / "steps" / f"{s['step']}.log" for s in run.steps()]
        for path in (p for p in chosen if p.exists()):
            with path.open(encoding="utf-8", errors="replace") as f:
                f.seek(done.get(path, 0))
                while (line := f.readline()).endswith("\n"):
                    done[path] = f.tell()
                    yield line.rstrip("\n")
        if ended or not follow:
            return
        time.sleep(0.2)


def readable(line: str) -> str:
    """A structured line for people: time, step, replica, level where it matters, message."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    labels = record.get("logging.googleapis.com/labels", {})
    where = labels.get("step", "") + (f"/{labels['replica']}" if "replica" in labels else "")
    severity = record.get("severity", "INFO")
    level = "" if severity in ("INFO", "DEBUG") else f"{severity} "
    return f"{record.get('timestamp', '')[11:23]} {where} {level}{record.get('message', '')}"


def tail(path: Path, count: int = 15) -> list[str]:
    """The last lines of a step's log, readable."""
    if not path.exists():
        return []
    return [readable(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]]
