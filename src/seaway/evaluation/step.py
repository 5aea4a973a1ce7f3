"""The evaluate step: a model package on the untouched holdout, beside two baselines and the version now served.

In: URIs of the package, of the raw holdout rows, of the training features and their graph. Out: an `Evaluation` as JSON
and one HTML report. All models see the very same rows, batch by batch, so memory does not grow with their number.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seaway.errors import InputError
from seaway.evaluation import holdout, metrics
from seaway.evaluation.baselines import FeatureGraph, Linear, TrainFeatures, Trivial
from seaway.evaluation.champion import Champion
from seaway.evaluation.curves import Curves
from seaway.evaluation.predict import Answers, Predictor, score
from seaway.evaluation.report import render
from seaway.evaluation.result import Evaluation
from seaway.model import package
from seaway.storage import uri as storage


def evaluate(
    *,
    model: str,
    test: str,
    train_features: str,
    features: str,
    champion: str = "",
    evaluation: str,
    report: str,
) -> Evaluation:
    """Evaluate a model package and write the evaluation and its report.

    Args:
        model: URI of the package.
        test: URI of the holdout: a table of raw rows with the target.
        train_features: URI of the features that the model was trained on, which train the linear baseline.
        features: URI of the folder with features.onnx and contract.json.
        champion: URI of the package that is served now; empty if there is none.
        evaluation: where the JSON goes.
        report: where the HTML goes.

    Raises:
        PackageError: the package is damaged, or answers nonsense.
        InputError: a table does not fit; the message says which and how.
    """
    with ExitStack() as stack:
        judged = stack.enter_context(package.opened(model))
        measured, curves = _measure(stack, judged, model, test, train_features, features, champion)
        measured.write(evaluation)
        storage.write_bytes(report, render(measured, curves, judged.info).encode())
    return measured


def _measure(
    stack: ExitStack, judged: package.Package, model: str, test: str, train_features: str, features: str, champion: str
) -> tuple[Evaluation, Curves]:
    target = judged.contract.target
    predictor = Predictor(judged)
    rows = stack.enter_context(holdout.opened(test, target))
    graph = FeatureGraph(stack.enter_context(storage.localized(features)))
    if graph.contract.target != target:
        raise InputError(
            f"{features}: its target must be the model's, {target.to_dict()}, found {graph.contract.target.to_dict()}: "
            "give the features that this model was trained on"
        )
    train = TrainFeatures.read(train_features)
    trivial, linear = Trivial(train, target), Linear(train, target)
    del train
    rival = Champion(stack, champion, target) if champion else None

    parts: dict[str, list[Answers]] = {"model": [], "linear": []}
    truths, seconds = [], 0.0
    for batch, truth in rows.batches():
        start = time.perf_counter()
        parts["model"].append(predictor.answer(batch))
        seconds += time.perf_counter() - start
        parts["linear"].append(linear.answer(graph.matrix(batch)))
        if rival is not None:
            rival.answer(batch)
        truths.append(truth)

    truth = np.concatenate(truths)
    answers = {name: Answers.joined(p) for name, p in parts.items()} | {"trivial": trivial.answer(len(truth))}
    scores = {name: score(truth, a) for name, a in answers.items()}
    notes = [*scores["model"].notes, *linear.notes]
    if rows.without_target:
        notes.append(f"{rows.without_target:,} rows of the holdout have no target and were left out")
    classes = target.classes or ()
    own = answers["model"]
    measured = Evaluation(
        task=target.task,
        target=target.name,
        model={
            "name": judged.name,
            "version": judged.version,
            "framework": str(judged.info.get("framework", "")),
            "uri": model,
        },
        rows=len(truth),
        primary=metrics.primary(target.task, len(classes)),
        directions=metrics.DIRECTIONS[target.task],
        metrics=scores["model"].metrics,
        baselines={name: scores[name].metrics for name in ("trivial", "linear")},
        champion=None if rival is None else rival.result(truth),
        classes=tuple(str(c) for c in classes),
        confusion_matrix=(
            ()
            if own.labels is None
            else tuple(tuple(row) for row in metrics.confusion_matrix(truth, own.labels, len(classes)).tolist())
        ),
        roc=_roc(truth, own),
        rows_per_second=round(len(truth) / seconds, 1) if seconds > 0 else 0.0,
        notes=tuple(dict.fromkeys(notes)),
    )
    return measured, _curves(truth, answers, rival, measured.classes)


def _roc(truth: NDArray[Any], answers: Answers) -> dict[str, list[float]] | None:
    if answers.probabilities is None or answers.probabilities.shape[1] != 2:
        return None
    return metrics.roc_curve(truth, answers.probabilities[:, 1])


def _curves(
    truth: NDArray[Any], answers: Mapping[str, Answers], rival: Champion | None, classes: tuple[str, ...]
) -> Curves:
    drawn = {"model": answers["model"], "linear": answers["linear"]}
    if rival is not None and rival.answers is not None:
        drawn["now served"] = rival.answers
    return Curves.of(truth, drawn, classes)
