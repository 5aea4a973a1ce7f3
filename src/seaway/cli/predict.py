"""seaway predict: ask a served model."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seaway.errors import InputError

if TYPE_CHECKING:
    from seaway.launch.api import Api

BATCH = 1_000
"""Rows in a request."""


@click.command("predict")
@click.argument("name")
@click.option("--rows", required=True, help="CSV, Parquet, JSON (a list of objects) or JSON lines; - reads JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@click.option("--namespace", "-n", default="", help="Of the service; by default the context's.")
def predict_command(name: str, rows: str, as_json: bool, namespace: str) -> None:
    """Ask the InferenceService or InferenceGraph NAME about the rows of a file."""
    from seaway.launch import endpoint
    from seaway.launch.api import Api

    use_laptop()
    url, inputs = target(Api.connect(namespace), name)
    table = read_rows(rows)
    for start in range(0, len(table), BATCH):
        batch = table[start : start + BATCH]
        body = {"instances": batch if inputs is None else only(batch, inputs)}
        try:
            answer, _ = endpoint.call(url, body=body, timeout_s=60)
        except InputError as e:
            counted = f" (its row 0 is row {start:,} of {rows})" if start else ""  # the server sees one batch
            raise InputError(f"{e}{counted}") from None
        if not isinstance(answer.get("predictions"), list):  # a graph of other routers answers in another form
            click.echo(json.dumps(answer, ensure_ascii=False))
            continue
        for row, prediction in zip(batch, answer["predictions"], strict=True):
            click.echo(json.dumps(prediction, ensure_ascii=False) if as_json else sentence(row, prediction))


def target(api: Api, name: str) -> tuple[str, dict[str, str] | None]:
    """URL to send rows to, and the columns to send with their datatypes, None for all.

    Of a service, else of a graph of that name.

    Raises:
        InputError: neither is there and has a URL.
    """
    from seaway.launch import endpoint
    from seaway.launch.graph_ready import INFERENCE_GRAPH
    from seaway.launch.graph_services import graph_columns
    from seaway.launch.service import served

    service = served(api, name)
    if service is not None and service.url:
        inputs = endpoint.metadata(service.url, name)["inputs"]
        return f"{service.url}/v1/models/{name}:predict", {i["name"]: i["datatype"] for i in inputs}
    graph = api.get(INFERENCE_GRAPH, name) if service is None else None
    if graph is not None and (url := graph.get("status", {}).get("url")):
        return url, graph_columns(api, graph)
    kind = "InferenceGraph" if graph is not None else "InferenceService"
    raise InputError(f"{kind} {name!r} must be there and have a URL: see `kubectl get {kind.lower()}s`")


def use_laptop() -> None:
    """Speak to the laptop unless KUBECONFIG names another cluster."""
    from seaway.local.home import paths

    if "KUBECONFIG" not in os.environ and paths().kubeconfig.exists():
        os.environ["KUBECONFIG"] = str(paths().kubeconfig)


def read_rows(source: str) -> list[dict[str, Any]]:
    """The rows of a file as objects with JSON values.

    Raises:
        InputError: it cannot be read, or has no rows.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    if source == "-" or suffix in (".json", ".jsonl", ".ndjson"):
        found = _json_rows(sys.stdin.read() if source == "-" else _text(path))
        rows = [{k: _plain(v) for k, v in row.items()} for row in found]
    else:
        from seaway.data.table import scan

        rows = [{k: _plain(v) for k, v in row.items()} for row in scan(source).collect().iter_rows(named=True)]
    if not rows:
        raise InputError(f"{source}: must have at least one row, found none")
    for number, row in enumerate(rows):
        for column, value in row.items():
            if isinstance(value, float) and math.isinf(value):
                raise InputError(
                    f"{source}: column {column!r} must be finite, found {value} in row {number}: "
                    "leave the value out if it is missing"
                )
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{path}: must be a file of UTF-8 text: {e}") from None


def _json_rows(text: str) -> list[dict[str, Any]]:
    try:
        found = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(x) for x in text.splitlines() if x.strip()]
        )
    except ValueError as e:
        raise InputError(f"rows must be a JSON list of objects, or one object a line: {e}") from None
    if bad := [r for r in found if not isinstance(r, dict)]:
        raise InputError(f"a row must be a JSON object, found {bad[0]!r:.80}")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):  # JSON has no NaN; it means missing in every table that we read
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def only(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> list[dict[str, Any]]:
    """The rows with the columns that the model takes; targets and the like are left out."""
    return [{c: row[c] for c in columns if c in row} for row in rows]


def sentence(row: Mapping[str, Any], prediction: Mapping[str, Any]) -> str:
    """A prediction for people: the answer first, then the row's first columns."""
    if not {"label", "value"} & prediction.keys():  # a graph's answers have the keys that it gives them
        said = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in prediction.items())
    elif "label" in prediction:
        chance = prediction.get("probability", max(prediction.get("probabilities", [float("nan")])))
        said = f"{prediction['label']!s} (probability {chance:.3f})"
    else:
        said = f"{prediction['value']:.4g}"
    return f"{said}  <- " + ", ".join(f"{k}={v}" for k, v in list(row.items())[:6])


def show_served(steps: Sequence[Mapping[str, Any]]) -> None:
    """After a run: what was deployed, and one real question and answer."""
    every = [s["outputs"] for s in steps if s["component"] == "promote" and "outputs" in s]
    for promoted in every:
        click.echo("" if len(every) == 1 else f"\n{promoted['service']}")
        for reason in _reasons(promoted.get("reasons")):
            click.echo(f"  {reason}")
        if promoted.get("promoted") is not True:
            click.secho("not promoted", fg="yellow")
    if graph := _outputs(steps, "deploy_graph"):
        show_graph(steps, graph)
    elif every and every[-1].get("promoted") is True:
        show_service(steps, every[-1])


def show_service(steps: Sequence[Mapping[str, Any]], promoted: Mapping[str, Any]) -> None:
    """Where a service answers, and one real question and answer."""
    from seaway.launch import endpoint
    from seaway.launch.sample import json_rows

    name, url = promoted["service"], promoted["url"]
    click.secho(f"InferenceService {name} version {promoted['version']} answers at {url}", fg="green")
    test = next((s["inputs"].get("test") for s in reversed(steps) if s["component"] == "smoke_test"), None)
    if test:
        columns = {i["name"]: i["datatype"] for i in endpoint.metadata(url, name)["inputs"]}
        _show_answer(f"{url}/v1/models/{name}:predict", json_rows(str(test), columns, 1))


def show_graph(steps: Sequence[Mapping[str, Any]], deployed: Mapping[str, Any]) -> None:
    """Where a graph answers, and one real question and answer."""
    from seaway.launch import endpoint
    from seaway.launch.api import Api
    from seaway.launch.sample import json_rows

    url = deployed["url"]
    if not url:  # a dry run
        return
    click.secho(f"InferenceGraph {deployed['name']} answers at {url}", fg="green")
    given = next(s["inputs"] for s in reversed(steps) if s["component"] == "deploy_graph")
    if given.get("sample"):
        url, columns = target(Api.connect(str(given.get("namespace") or "")), deployed["name"])
        answered = []
        for row in json_rows(str(given["sample"]), columns, 30) if columns else ():
            with contextlib.suppress(InputError):  # raw rows may break a contract
                (answer,) = endpoint.call(url, body={"instances": [row]}, timeout_s=30)[0].get("predictions") or [{}]
                answered.append((sum(v is None for v in answer.values()), row))
        if answered:
            # the row about which most of the models were asked tells most of the graph
            _show_answer(url, [min(answered, key=lambda found: found[0])[1]])


def _show_answer(url: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from seaway.launch import endpoint

    body = {"instances": list(rows)}
    answer, _ = endpoint.call(url, body=body, timeout_s=30)
    # a column's name may hold a quote
    click.echo(f"  curl {url} -d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    click.echo(f"  {json.dumps(answer, ensure_ascii=False)}")


def _outputs(steps: Sequence[Mapping[str, Any]], component: str) -> Mapping[str, Any]:
    found: Iterator[Mapping[str, Any]] = (
        s["outputs"] for s in reversed(steps) if s["component"] == component and "outputs" in s
    )
    return next(found, {})


def _reasons(recorded: Any) -> list[str]:
    try:
        found = json.loads(recorded) if isinstance(recorded, str) else recorded
    except ValueError:
        return [str(recorded)]
    return [str(r) for r in found or ()]
