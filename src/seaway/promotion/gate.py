"""The promotion gate: whether a model may replace the version that is served now.

In: an evaluation (`seaway.evaluation.result.Evaluation.to_dict`, or the same keys from elsewhere). Out: yes or no, with
the numbers in sentences. Pure: it reads nothing and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError

SIGN = {"higher": 1.0, "lower": -1.0}
"""By the better side of a metric: the factor that makes greater mean better."""


@dataclass(frozen=True)
class Decision:
    """What the gate says."""

    promoted: bool
    reasons: tuple[str, ...]
    """Sentences: what held if promoted, else only what did not hold."""


def decide(
    evaluation: Mapping[str, Any],
    *,
    metric: str = "",
    margin: float = 0.0,
    min_gain: float = 0.0,
    baseline: str = "linear",
    allow_unreadable_champion: bool = False,
) -> Decision:
    """Promote a model only if it beats the baseline and is not worse than the version now served.

    A metric that is None or not finite never counts in the model's favour.

    Args:
        evaluation: has ``metrics``, ``baselines``, ``directions``, ``primary`` and, or None, ``champion``.
        metric: the metric to judge by; the evaluation's primary one if empty.
        margin: how much worse than the version now served is still accepted, in the metric's unit; at least 0.
        min_gain: how much better than the baseline it must be, in the metric's unit; any gain will do if 0.
        baseline: ``linear`` or ``trivial``, or what else the evaluation holds.
        allow_unreadable_champion: promote even if the version now served could not be evaluated; for the one run that
            replaces it.

    Raises:
        InputError: a parameter is out of range, or names what the evaluation does not hold.
    """
    for name, value in (("margin", margin), ("min_gain", min_gain)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name} must be a finite number of at least 0, found {value}")
    metric = metric or str(evaluation["primary"])
    directions: Mapping[str, str] = evaluation["directions"]
    if metric not in directions:
        raise InputError(f"metric must be one of {sorted(directions)}, found {metric!r}")
    if baseline not in evaluation["baselines"]:
        raise InputError(f"baseline must be one of {sorted(evaluation['baselines'])}, found {baseline!r}")
    sign = SIGN[directions[metric]]

    mine = _finite(evaluation["metrics"].get(metric))
    if mine is None:
        why = "; ".join(map(str, evaluation.get("notes") or ())) or "see the evaluation's report"
        return Decision(False, (f"the model's {metric} could not be computed on the holdout: {why}",))
    checks = [
        _beats_baseline(metric, mine, _finite(evaluation["baselines"][baseline].get(metric)), sign, min_gain, baseline),
        _holds_champion(metric, mine, evaluation.get("champion"), sign, margin, allow_unreadable_champion),
    ]
    failed = tuple(reason for holds, reason in checks if not holds)
    return Decision(not failed, failed or tuple(reason for _, reason in checks))


def _beats_baseline(
    metric: str, mine: float, other: float | None, sign: float, min_gain: float, baseline: str
) -> tuple[bool, str]:
    if other is None:
        return (
            False,
            f"the {baseline} baseline's {metric} could not be computed, so nothing shows that the model beats it",
        )
    gain = sign * (mine - other)
    asked = f" by at least {min_gain:g}" if min_gain else ""
    if gain > 0 and gain >= min_gain:
        return True, f"{metric} {mine:.6g} beats the {baseline} baseline's {other:.6g}{asked}: better by {gain:.4g}"
    found = f"better by only {gain:.4g}" if gain > 0 else "equal" if gain == 0 else f"worse by {-gain:.4g}"
    return False, f"{metric} {mine:.6g} must beat the {baseline} baseline's {other:.6g}{asked}: it is {found}"


def _holds_champion(
    metric: str, mine: float, champion: Mapping[str, Any] | None, sign: float, margin: float, allow_unreadable: bool
) -> tuple[bool, str]:
    if champion is None:
        return True, "no version is served now"
    named = f"version {champion['version']}, now served" if champion.get("version") else "the version now served"
    other = _finite((champion.get("metrics") or {}).get(metric))
    if other is None:
        why = champion.get("error") or f"its {metric} could not be computed"
        said = f"{named} could not be evaluated on the holdout: {why}"
        advice = "" if allow_unreadable else "; allow_unreadable_champion promotes nevertheless"
        return allow_unreadable, said + advice
    loss = sign * (other - mine)
    accepted = f" (accepted: {margin:g})" if margin else ""
    if loss <= margin:
        found = f"better by {-loss:.4g}" if loss < 0 else "equal" if loss == 0 else f"worse by {loss:.4g}{accepted}"
        return True, f"{metric} {mine:.6g} holds against {named}, with {other:.6g}: {found}"
    return (
        False,
        f"{metric} {mine:.6g} must hold against {named}, with {other:.6g}: it is worse by {loss:.4g}{accepted}",
    )


def _finite(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
