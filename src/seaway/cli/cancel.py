"""seaway cancel: end a run and delete its jobs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal

import click

from seaway.local import daemon
from seaway.local.kfp import runs


@click.command("cancel")
@click.argument("run")
def cancel_command(run: str) -> None:
    """End RUN (an id, its beginning, or last) and delete the jobs it made; services stay."""
    found = runs.find(run)
    click.echo(f"{found.id}: {len(end(found))} jobs deleted")


def end(run: runs.Run) -> list[str]:
    """End a run's processes and delete its jobs; gives their names."""
    state = run.read()
    runner = state.get("runner_pid", 0)
    if runner and runs.started(runner) == state.get("runner_started"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(runner, signal.SIGTERM)
    jobs = delete_jobs(run.id)
    shutil.rmtree(run.folder / "tmp", ignore_errors=True)  # left by a `seaway run` that was killed
    if state["state"] in ("running", "interrupted"):
        run.update(state="cancelled", ended=runs.now())
    return jobs


def delete_jobs(run_id: str, *, unfinished_only: bool = False) -> list[str]:
    """Delete a run's jobs from the laptop, if that is up."""
    laptop = daemon.status()
    if laptop is None:
        return []
    os.environ["KUBECONFIG"] = str(laptop.kubeconfig)
    from seaway.launch.cancel import cancel

    return cancel(run_id, unfinished_only=unfinished_only)


def delete_left(laptop: daemon.Laptop) -> list[str]:
    """Delete the jobs of ended runs from a laptop that has just started; gives their names.

    A run and the laptop that are killed together leave jobs which the next laptop adopts, for nobody.
    """
    ended = [r.id for r in runs.every() if r.read()["state"] != "running"]
    if not ended:
        return []
    os.environ["KUBECONFIG"] = str(laptop.kubeconfig)
    from seaway.launch.cancel import cancel_left

    return cancel_left(ended)
