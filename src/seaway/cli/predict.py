"""seaway predict: ask a served model."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seaway.errors import InputError

BATCH = 1_000
"""Rows in a request."""


@click.command("predict")
@click.argument("name")
@click.option("--rows", required=True, help="CSV, Parquet, JSON (a list of objects) or JSON lines; - reads JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@click.option("--namespace", "-n", default="", help="Of the service; by default the context's.")
def predict_command(name: str, rows: str, as_json: bool, namespace: str) -> None:
    """Ask the InferenceService NAME about the rows of a file."""
    from seaway.launch import endpoint
    from seaway.launch.api import Api
    from seaway.launch.service import served

    use_laptop()
    found = served(Api.connect(namespace), name)
    if found is None or not found.url:
        raise InputError(f"InferenceService {name!r} must be there and have a URL: see `kubectl get inferenceservices`")
    inputs = [i["name"] for i in endpoint.metadata(found.url, name)["inputs"]]
    table = read_rows(rows)
    for start in range(0, len(table), BATCH):
        batch = table[start : start + BATCH]
        body = {"instances": only(batch, inputs)}
        try:
            answer, _ = endpoint.call(f"{found.url}/v1/models/{name}:predict", body=body, timeout_s=60)
        except InputError as e:
            counted = f" (its row 0 is row {start:,} of {rows})" if start else ""  # the server sees one batch
            raise InputError(f"{e}{counted}") from None
        for row, prediction in zip(batch, answer["predictions"], strict=True):
            click.echo(json.dumps(prediction, ensure_ascii=False) if as_json else sentence(row, prediction))


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


def only(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with the columns that the model takes; targets and the like are left out."""
    return [{c: row[c] for c in columns if c in row} for row in rows]


def sentence(row: Mapping[str, Any], prediction: Mapping[str, Any]) -> str:
    """A prediction for people: the answer first, then the row's first columns."""
    if "label" in prediction:
        chance = prediction.get("probability", max(prediction.get("probabilities", [float("nan")])))
        said = f"{prediction['label']!s} (probability {chance:.3f})"
    else:
        said = f"{prediction['value']:.4g}"
    return f"{said}  <- " + ", ".join(f"{k}={v}" for k, v in list(row.items())[:6])


def show_served(steps: Sequence[Mapping[str, Any]]) -> None:
    """After a run: what was deployed, and one real question and answer."""
    promoted = _outputs(steps, "promote")
    if not promoted:
        return
    click.echo("")
    for reason in _reasons(promoted.get("reasons")):
        click.echo(f"  {reason}")
    if promoted.get("promoted") is not True:
        click.secho("not promoted", fg="yellow")
        return
    name, url = promoted["service"], promoted["url"]
    click.secho(f"InferenceService {name} version {promoted['version']} answers at {url}", fg="green")
    test = next((s["inputs"].get("test") for s in reversed(steps) if s["component"] == "smoke_test"), None)
    if not test:
        return
    from seaway.launch import endpoint

    inputs = [i["name"] for i in endpoint.metadata(url, name)["inputs"]]
    row = only(_first_row(str(test)), inputs)[0]
    body = {"instances": [row]}
    answer, _ = endpoint.call(f"{url}/v1/models/{name}:predict", body=body, timeout_s=30)
    # a column's name may hold a quote
    click.echo(f"  curl {url}/v1/models/{name}:predict -d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    click.echo(f"  {json.dumps(answer, ensure_ascii=False)}")


def _first_row(path: str) -> list[dict[str, Any]]:
    import polars as pl

    row = pl.scan_parquet(path).head(1).collect().row(0, named=True)
    return [{k: _plain(v) for k, v in row.items()}]


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
