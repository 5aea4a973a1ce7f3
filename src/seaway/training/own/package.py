"""What runs after a container in any language: its ONNX graph is checked, composed with the features and packaged.

In: TrainSpec, and what the program left in SEAWAY_MODEL_OUT: ``model.onnx``, and maybe ``predictions.csv`` with its own
answers to the validation rows, and a folder ``native``. Out: the model package and its metrics, or an error in words.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import PackageError
from seaway.model.contract import Contract
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training.own import foreign
from seaway.training.own.checked import checked
from seaway.training.own.container import FORMAT, MODEL, NATIVE, PREDICTIONS, Work
from seaway.training.own.script import say_metrics
from seaway.training.spec import TrainSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)


def package(spec: TrainSpec, work: Work) -> foreign.Written:
    """Check what the program wrote and make a model package of it.

    Raises:
        PackageError: there is no model, it is in another format, or it does not answer as the program's predictions.
    """
    out = work.model_out
    if not (out / MODEL).is_file():
        raise PackageError(_without_a_model(out))
    contract = Contract.from_json(storage.read_bytes(spec.contract))
    answers = None
    if (out / PREDICTIONS).is_file():
        answers = _predictions(out / PREDICTIONS, len(contract.target.classes or ()))
    written = foreign.write(
        spec,
        foreign.read_graph(out / MODEL),
        predict=None if answers is None else lambda features: _first(answers, len(features)),
        native=out / NATIVE if (out / NATIVE).is_dir() else None,
    )
    said = written.agreement.to_dict() if written.compared else {"agreement": foreign.NOT_COMPARED}
    logs.info(_logger, "wrote the package", uri=spec.output, **said)
    say_metrics(written.metrics)
    return written


def _without_a_model(out: Path) -> str:
    found = sorted(p.name for p in out.iterdir()) if out.is_dir() else []
    if FORMAT in found:
        name = (out / FORMAT).read_text(errors="replace").strip()[:80]
        return (
            f"the program must write its model as ONNX to $SEAWAY_MODEL_OUT/{MODEL}, found the format {name!r}: only "
            "an ONNX graph can be joined to the features, evaluated and promoted; export it as ONNX, or publish the "
            "folder by a step of your own"
        )
    return (
        f"the program must write its model to $SEAWAY_MODEL_OUT/{MODEL} before it ends with exit code 0, found "
        f"{found or 'nothing'} there: see its log"
    )


def _predictions(path: Path, classes: int) -> NDArray[np.float64]:
    """[n, K] or [n].

    Raises:
        PackageError: it is no table of numbers with a column a class, or with one.
    """
    import polars as pl

    wanted = classes or 1
    try:
        frame = pl.read_csv(path, infer_schema_length=None)
        numbers = frame.select(pl.all().cast(pl.Float64)).to_numpy()
    except pl.exceptions.PolarsError as e:
        raise PackageError(f"{PREDICTIONS} must be a CSV file of numbers with a header: {str(e)[:500]}") from None
    if numbers.shape[1] != wanted:
        raise PackageError(
            f"{PREDICTIONS} must have {wanted} columns, {'one a class' if classes else 'the value'}, found "
            f"{numbers.shape[1]}: {frame.columns[:10]}"
        )
    return numbers if classes else numbers[:, 0]


def _first(answers: NDArray[Any], rows: int) -> NDArray[Any]:
    if len(answers) < rows:
        raise PackageError(
            f"{PREDICTIONS} must have a row for every validation row, in their order, found {len(answers):,} for at "
            f"least {rows:,}"
        )
    return answers[:rows]


if __name__ == "__main__":
    raise SystemExit(checked(lambda: package(TrainSpec.from_env(), Work.from_env())))
