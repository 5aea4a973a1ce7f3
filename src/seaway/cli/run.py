"""seaway run: a pipeline on this laptop, from start to a served model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from seaway.cli.cancel import delete_jobs, delete_left
from seaway.cli.logs import readable, tail
from seaway.cli.view import view
from seaway.errors import InputError, LaptopError, LaunchError
from seaway.local import daemon
from seaway.local.home import paths
from seaway.local.kfp import runs
from seaway.local.kfp.spec import PipelineSpec
from seaway.submission import source as sources

FLIGHTS: Mapping[str, Mapping[str, Any]] = {
    "train-and-serve": {"target": "late", "exclude": ["delay_minutes"], "name": "flights-late"},
    "chained-delay": {},  # its own defaults are the flights'
}
"""What a pipeline asks of the flights when no data is named."""

GONE = "its process ended without a word: it was killed, by hand or for lack of memory; run it again"
"""What is known of a step that is interrupted."""


@click.command("run")
@click.argument("pipeline")
@click.option("--data", default="", help="URI of CSV or Parquet; by default the flights of New York, 2013.")
@click.option("--param", "-p", "params", multiple=True, metavar="KEY=VALUE", help="A parameter of the pipeline.")
@click.option("--quiet", is_flag=True, help="No progress, no question and answer.")
def run_command(pipeline: str, data: str, params: tuple[str, ...], quiet: bool) -> None:
    """Run PIPELINE, a name such as train_and_serve, a compiled YAML, or file.py[:function]."""
    source = find_pipeline(pipeline)
    spec = PipelineSpec.read(source)
    given = dict(p.partition("=")[::2] for p in params)
    if bad := [p for p in params if "=" not in p]:
        raise InputError(f"--param must be KEY=VALUE, found {bad[0]!r}")
    if data:
        given["data"] = data
    values = spec.values(given)
    if "data" not in values and (example := FLIGHTS.get(spec.name)) is not None:
        from seaway.cli.example import flights_file

        values = {**example, **values, "data": str(flights_file())}
    spec.check(values)
    laptop = daemon.status()
    if laptop is None:
        laptop = daemon.start()
        delete_left(laptop)
    run = runs.create(spec.name, str(source), values)
    click.echo(f"run {run.id}  ({run.folder})")
    state = follow(run, spec, kubeconfig=laptop.kubeconfig, quiet=quiet)
    if state != "succeeded":
        explain(run)
        sys.exit(1)
    if not quiet:
        from seaway.cli.predict import show_served

        os.environ["KUBECONFIG"] = str(laptop.kubeconfig)
        show_served(run.steps())


def find_pipeline(name: str) -> Path:
    """The compiled YAML of a pipeline's name or path; a Python file is compiled to the laptop's home.

    Raises:
        InputError: there is none.
    """
    return sources.find(name, paths().root / "compiled")


def follow(run: runs.Run, spec: PipelineSpec, *, kubeconfig: Path, quiet: bool) -> str:
    """Start the runner and show its progress until it ends; gives the run's last state."""
    temporary = run.folder / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ,
        "SEAWAY_RUN_ID": run.id,
        "SEAWAY_RUN_DIR": str(run.folder),
        "SEAWAY_LOG_FORMAT": "json",
        "KUBECONFIG": str(kubeconfig),
        "TMPDIR": str(temporary),  # every step leaves a folder behind
        "PYTHONUNBUFFERED": "1",
    }
    began = time.monotonic()
    with (run.folder / "run.log").open("ab") as log:
        runner = subprocess.Popen(
            [sys.executable, "-m", "seaway.local.kfp.runner", str(run.folder)],
            stdin=subprocess.PIPE,  # its end tells the runner that we are gone
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    run.update(runner_pid=runner.pid, runner_started=runs.started(runner.pid))
    # a notebook's `!seaway run` looks like a terminal, but nothing can be drawn over there
    terminal = sys.stdout.isatty() and "JPY_PARENT_PID" not in os.environ and not quiet
    shown = view([] if quiet else spec.steps, terminal=terminal)
    state = "cancelled"
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _watch(runner, run, shown, quiet=quiet)
        state = "succeeded" if code == 0 else "failed"
        if code < 0:
            run.update(error=f"the run's own process was ended by {signal.Signals(-code).name}: run it again")
    except KeyboardInterrupt:
        pass
    except LaptopError as e:
        state = "failed"
        run.update(error=str(e))
    finally:
        signal.signal(signal.SIGTERM, before)
        shown.close()
        if state != "succeeded":
            end_group(runner)
            # a job that has ended stays to be looked at; one that goes on would work for nobody
            try:
                delete_jobs(run.id, unfinished_only=state == "failed")
            except LaunchError as e:
                click.secho(f"its jobs could not be deleted: {e}", fg="red", err=True)
        if run.read()["state"] != "cancelled":  # `seaway cancel` has said so already
            run.update(state=state, ended=runs.now(), seconds=round(time.monotonic() - began, 3))
        shutil.rmtree(temporary, ignore_errors=True)
    return str(run.read()["state"])


def _watch(runner: subprocess.Popen[bytes], run: runs.Run, shown: Any, *, quiet: bool) -> int:
    looked = time.monotonic()
    while True:
        try:
            code: int | None = runner.wait(0.1)
        except subprocess.TimeoutExpired:
            code = None
        if not quiet:
            shown.show(run.steps())
        if code is not None:
            return code
        if time.monotonic() - looked > 2:
            looked = time.monotonic()
            if daemon.status() is None and runner.poll() is None:
                if not paths().record.exists():
                    raise LaptopError("the laptop must stay up while a run goes on, but someone ended it: run it again")
                daemon.ensure()  # it was killed: its jobs go on, and a new one adopts them


def end_group(leader: subprocess.Popen[bytes], *, grace_s: float = 10.0) -> None:
    """End a child and its process group, also when the child itself is gone: SIGTERM, and SIGKILL after a while."""
    deadline = time.monotonic() + grace_s
    number = signal.SIGTERM.value
    while time.monotonic() < deadline + 1:
        leader.poll()  # a child that ended stays in its group until it is asked
        try:
            os.killpg(leader.pid, number)
        except ProcessLookupError:
            return
        number = 0 if time.monotonic() < deadline else signal.SIGKILL.value
        time.sleep(0.02)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def explain(run: runs.Run) -> None:
    """Say which step failed and what it logged last."""
    state = run.read()
    if state["state"] == "cancelled":
        click.secho(f"\nrun {run.id} cancelled, its jobs are deleted", fg="yellow", err=True)
        return
    failed = [s for s in run.steps() if s["state"] in ("failed", "interrupted")]
    for step in failed:
        click.secho(f"\nstep {step['step']} {step['state']}", fg="red", err=True)
        error = step.get("error", GONE)
        for line in tail(run.folder / "steps" / f"{step['step']}.log"):
            # the last line logs the very error that follows
            if line not in error and not line.endswith(f" failed: {error.partition(': ')[2]}".splitlines()[0]):
                click.echo(f"  {line}", err=True)
        click.secho(f"error: {error}", fg="red", err=True)
    if "error" in state:
        click.secho(f"error: {state['error']}", fg="red", err=True)
    elif not failed:
        text = (run.folder / "run.log").read_text(errors="replace").splitlines()
        click.secho(f"\nrun {run.id} {state['state']}; last lines of {run.folder / 'run.log'}:", fg="red", err=True)
        for line in text[-15:]:
            click.echo(f"  {readable(line.strip())}", err=True)
        return  # components that are not Seaway's keep no log of their own
    click.echo(f"all of it: seaway logs {run.id}", err=True)
