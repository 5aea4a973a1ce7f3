"""Evaluate a package beside the version that a service now serves.

Looks that version up; the rest is `seaway.evaluation`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from seaway.launch.promote import champion_uri
from seaway.observe import logs

if TYPE_CHECKING:
    from seaway.evaluation.result import Evaluation

_log = logging.getLogger("seaway.launch")


def evaluate(
    *,
    model: str,
    test: str,
    train_features: str,
    features: str,
    evaluation: str,
    report: str,
    service: str,
    namespace: str,
) -> Evaluation:
    """Evaluate; see `seaway.evaluation.step.evaluate` for the paths.

    Args:
        model: path of the model package.
        test: path of the holdout.
        train_features: path of the training features.
        features: path of the folder of featurize.
        evaluation: path of the JSON to write.
        report: path of the HTML to write.
        service: InferenceService whose version is evaluated too; empty for none.
        namespace: of that service; empty for the step's own.
    """
    from seaway.evaluation.step import evaluate as run

    champion = champion_uri(service, namespace=namespace) if service else ""
    if champion:
        logs.info(_log, f"{service} now serves {champion}: evaluated on the same rows")
    return run(
        model=model,
        test=test,
        train_features=train_features,
        features=features,
        champion=champion,
        evaluation=evaluation,
        report=report,
    )
