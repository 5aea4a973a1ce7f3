"""seaway submit: a pipeline on a cluster, once, by schedule, or into the UI's list."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from seaway import submission
from seaway.errors import InputError
from seaway.submission import cron as crons
from seaway.submission.server import COOKIES, HOSTS, TOKEN
from seaway.submission.trigger import interval, shown

EXIT = {"succeeded": 0, "skipped": 0, "failed": 1, "canceled": 3}
"""With --wait: the exit status for how the run ended."""
ONLY_SCHEDULED = ("start", "end", "max_concurrency", "catchup", "paused", "description")
"""Options that only a recurring run has; --description also an upload."""


@click.command("submit", epilog=f"{TOKEN} and {COOKIES} in the environment let you in where --token-file is not given.")
@click.argument("pipeline")
@click.option("--host", envvar=list(HOSTS), default="", help=f"URL of Kubeflow Pipelines; or {' or '.join(HOSTS)}.")
@click.option("--param", "-p", "params", multiple=True, metavar="KEY=VALUE", help="A parameter of the pipeline.")
@click.option("--params", "file", type=click.Path(path_type=Path), help="JSON or YAML with parameters.")
@click.option("--experiment", default="", help="KFP's, made if it is not there; by default the pipeline's name.")
@click.option("--name", default="", help="Of the run, recurring run or uploaded pipeline.")
@click.option("--namespace", "-n", default="", help="Of your profile, on a multi-user Kubeflow.")
@click.option("--token-file", default="", help="A bearer token; read anew for every request.")
@click.option("--ca-cert", default="", help="PEM file of the authority that signed the server's certificate.")
@click.option("--service-account", default="", help="Of the run's pods.")
@click.option("--pipeline-root", default="", help="Where artifacts go.")
@click.option("--no-cache", is_flag=True, help="Every step runs, also those with results from an equal run.")
@click.option("--cron", default="", metavar='"0 2 * * *"', help="A recurring run: crontab's five fields, in UTC.")
@click.option("--every", default="", metavar="6h", help="A recurring run: an interval of s, m, h, d or w.")
@click.option("--start", default="", help="A recurring run starts not before, for instance 2027-01-31T06:00Z.")
@click.option("--end", default="", help="And not after.")
@click.option("--max-concurrency", type=int, default=1, show_default=True, help="Of a recurring run's runs, 1 to 10.")
@click.option("--catchup", is_flag=True, help="Run for each time that was missed, too.")
@click.option("--paused", is_flag=True, help="Make the recurring run, switched off.")
@click.option("--description", default="", help="Of a recurring run or upload.")
@click.option("--wait", is_flag=True, help="Until the run ends; exits with 0, 1 if it failed, 3 if it was canceled.")
@click.option("--timeout", default="", metavar="2h", help="With --wait: how long.")
@click.option("--upload", is_flag=True, help="Only upload the pipeline, or a new version of it.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, send nothing.")
@click.pass_context
def submit_command(ctx: click.Context, /, pipeline: str, **options: Any) -> None:
    """Submit PIPELINE, a name such as train_and_serve, a compiled YAML, or file.py[:function]."""
    _check(ctx, options)
    to = {key: options[key] for key in ("host", "namespace", "token_file", "ca_cert")}
    if options["upload"]:
        found = submission.upload(pipeline, name=options["name"], description=options["description"], **to)
        click.echo(f"{found.name} {found.version or 'uploaded'} {'' if found.new else '(was there already)'}".rstrip())
        click.echo(found.url)
        return
    common = {key: options[key] for key in ("experiment", "service_account", "pipeline_root", "dry_run")} | to
    common |= {"parameters": parameters(options["params"], options["file"])}
    common |= {"enable_caching": False if options["no_cache"] else None}
    if options["cron"] or options["every"]:
        _schedule(pipeline, common, options)
        return
    run = submission.submit(pipeline, run_name=options["name"], **common)
    if options["dry_run"]:
        click.echo(json.dumps(run.request, indent=2, ensure_ascii=False))
        return
    click.echo(f"run {run.id}  {run.name!r} in experiment {run.experiment!r}")
    click.echo(run.url)
    if options["wait"]:
        _wait(run, to, interval(options["timeout"]) if options["timeout"] else 0)


def parameters(params: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    """The parameters of a file, and over them those of the command line.

    Raises:
        InputError: a text without ``=``, or a file that holds no mapping.
    """
    if bad := [p for p in params if "=" not in p]:
        raise InputError(f"--param must be KEY=VALUE, found {bad[0]!r}")
    return {**(_read(file) if file else {}), **dict(p.partition("=")[::2] for p in params)}


def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise InputError(f"--params {file}: must be a file of JSON or YAML: {e}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"--params {file}: must hold names and values, found {found!r:.80}")
    return found


def _check(ctx: click.Context, options: Mapping[str, Any]) -> None:
    given = {
        name for name in options if ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
    }  # fmt: skip
    recurring = {"cron", "every"} & given
    if len(recurring) == 2:
        raise InputError("give --cron or --every, not both")
    allowed = {"description"} if options["upload"] else set()
    if not recurring and (alone := sorted((set(ONLY_SCHEDULED) & given) - allowed)):
        raise InputError(f"--{alone[0].replace('_', '-')} belongs to a recurring run: add --cron or --every")
    for one, other in (("wait", "dry_run"), ("wait", "upload"), ("dry_run", "upload")):
        if options[one] and options[other]:
            raise InputError(f"give --{one.replace('_', '-')} or --{other.replace('_', '-')}, not both")
    if recurring and (options["wait"] or options["upload"]):
        raise InputError("a recurring run does not end and is no upload: leave out --wait and --upload")
    if options["timeout"] and not options["wait"]:
        raise InputError("--timeout belongs to --wait")


def _schedule(pipeline: str, common: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        made = submission.schedule(
            pipeline,
            cron=options["cron"],
            interval_s=interval(options["every"]) if options["every"] else 0,
            job_name=options["name"],
            description=options["description"],
            start=options["start"],
            end=options["end"],
            max_concurrency=options["max_concurrency"],
            no_catchup=not options["catchup"],
            enabled=not options["paused"],
            **common,
        )
    for warning in (w for w in caught if issubclass(w.category, UserWarning)):
        click.secho(f"note: {warning.message}", fg="yellow", err=True)
    when = made.words
    if options["cron"]:
        cron = crons.parse(options["cron"])
        when += f"  ({cron.text}" + (", taken as given: seconds first)" if cron.six_given else ")")
    lines = [when, "next " + ", ".join(shown(t) for t in made.next)]
    if options["dry_run"]:
        click.echo("\n".join(lines), err=True)
        click.echo(json.dumps(made.request, indent=2, ensure_ascii=False))
        return
    click.echo(f"recurring run {made.id}  {made.name!r} in experiment {made.experiment!r}")
    click.echo("\n".join([*lines, made.url]))


def _wait(run: submission.Run, to: Mapping[str, Any], timeout_s: int) -> None:
    try:
        found = submission.wait(run.id, timeout_s=timeout_s, on_state=lambda s: click.echo(s.lower()), **to)
    except KeyboardInterrupt:
        click.echo(f"not waited for any more; the run goes on: {run.url}", err=True)
        sys.exit(130)
    for line in (*found.failed, found.error):
        if line:
            click.secho(line, fg="red", err=True)
    sys.exit(EXIT[found.state])
