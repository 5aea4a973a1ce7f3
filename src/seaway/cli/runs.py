"""seaway runs: what ran on this laptop."""

from __future__ import annotations

import json

import click

from seaway.local.kfp import runs


@click.command("runs")
@click.argument("run", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def runs_command(run: str, as_json: bool) -> None:
    """List all runs, or the steps of RUN with their inputs and outputs."""
    if run:
        _one(runs.find(run), as_json=as_json)
        return
    states = [r.read() for r in runs.every()]
    if as_json:
        click.echo(json.dumps(states, indent=1))
        return
    if not states:
        click.echo("no runs yet: try `seaway run train_and_serve`")
    for state in states:
        seconds = f"{state['seconds']:.1f} s" if "seconds" in state else ""
        click.echo(f"{state['id']:<44} {state['state']:<12} {seconds:>9}  {state['started']}")


def _one(run: runs.Run, *, as_json: bool) -> None:
    steps = run.steps()
    if as_json:
        click.echo(json.dumps({**run.read(), "steps": steps}, indent=1))
        return
    state = run.read()
    click.echo(f"{run.id} {state['state']}  trace {state['trace_id']}  {run.folder}")
    for step in steps:
        click.echo(f"\n{step['step']} {step['state']} {step.get('seconds', '')} s")
        for title in ("inputs", "outputs"):
            for name, value in step.get(title, {}).items():
                click.echo(f"  {title[:-1]:<6} {name} = {value}")
        if "error" in step:
            click.secho(f"  {step['error']}", fg="red")
