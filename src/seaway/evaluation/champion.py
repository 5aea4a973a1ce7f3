"""The version that is served now, on the same holdout rows.

In: the URI of its package. Out: its metrics, or in words why it could not be evaluated: whatever is wrong with it is a
finding of the evaluation, not a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.errors import InputError, PackageError
from seaway.evaluation.predict import Answers, Predictor, score
from seaway.model import package
from seaway.model.contract import Target


class Champion:
    """A package that answers the holdout's batches as long as nothing is wrong with it."""

    def __init__(self, stack: ExitStack, uri: str, target: Target) -> None:
        """Open the package at ``uri`` until ``stack`` closes; ``target`` is that of the model it is compared with."""
        self.uri = uri
        self.error = ""
        self._parts: list[Answers] = []
        try:
            self._predictor = Predictor(stack.enter_context(package.opened(uri)))
            self._order = _class_order(self._predictor.contract.target, target)
        except (PackageError, InputError, OSError) as e:
            self.error = str(e)

    def answer(self, batch: pl.DataFrame) -> None:
        """Answer the next batch of raw rows."""
        if self.error:
            return
        try:
            self._parts.append(self._reordered(self._predictor.answer(batch)))
        except (PackageError, InputError) as e:
            self.error = str(e)

    @property
    def answers(self) -> Answers | None:
        """To all batches, classes in the order of the model it is compared with; None if it could not be evaluated."""
        return None if self.error else Answers.joined(self._parts)

    def result(self, truth: NDArray[Any]) -> Mapping[str, Any]:
        """``uri``, ``version`` and ``metrics``, or ``uri`` and ``error``."""
        answers = self.answers
        if answers is None:
            return {"uri": self.uri, "error": self.error}
        return {"uri": self.uri, "version": self._predictor.package.version, "metrics": score(truth, answers).metrics}

    def _reordered(self, answers: Answers) -> Answers:
        if answers.probabilities is None or answers.labels is None:
            return answers
        return Answers(answers.probabilities[:, self._order], np.argsort(self._order)[answers.labels])


def _class_order(champion: Target, target: Target) -> list[int]:
    """Where each of the model's classes stands among the champion's."""
    theirs, ours = champion.classes or (), target.classes or ()
    if champion.name != target.name or champion.task != target.task or set(theirs) != set(ours):
        raise InputError(
            f"the version now served must answer the same question, {_question(target)}; "
            f"it answers {_question(champion)}"
        )
    return [theirs.index(c) for c in ours]


def _question(target: Target) -> str:
    classes = "" if target.classes is None else f" into {list(target.classes)}"
    return f"{target.task} of {target.name!r}{classes}"
