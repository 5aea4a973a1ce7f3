"""The gate promotes what beats the baseline and holds against the version now served, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.promotion.gate import decide

DIRECTIONS = {"auc": "higher", "log_loss": "lower"}


def evaluation(
    auc: Any = 0.77, linear: Any = 0.72, champion: Any = None, *, log_loss: Any = 0.4, primary: str = "auc"
) -> dict[str, Any]:
    if isinstance(champion, float):
        champion = {"uri": "u", "version": "v7", "metrics": {"auc": champion, "log_loss": 0.41}}
    return {
        "primary": primary,
        "directions": DIRECTIONS,
        "metrics": {"auc": auc, "log_loss": log_loss, "bias": 1.0},
        "baselines": {"linear": {"auc": linear, "log_loss": 0.5}, "trivial": {"auc": 0.5, "log_loss": 0.6}},
        "champion": champion,
    }


def test_a_better_model_is_promoted_and_the_reasons_hold_the_numbers() -> None:
    decision = decide(evaluation(0.77, 0.72, 0.76))
    assert decision.promoted
    assert "0.77" in decision.reasons[0]
    assert "0.72" in decision.reasons[0]
    assert "v7" in decision.reasons[1]


def test_the_first_model_needs_only_to_beat_the_baseline() -> None:
    assert decide(evaluation()).reasons[1] == "no version is served now"
    assert decide(evaluation()).promoted


def test_a_model_that_only_equals_the_baseline_is_refused() -> None:
    decision = decide(evaluation(0.72, 0.72))
    assert not decision.promoted
    assert len(decision.reasons) == 1
    assert "equal" in decision.reasons[0]


def test_every_reason_of_a_refusal_is_something_that_did_not_hold() -> None:
    decision = decide(evaluation(0.70, 0.72, 0.80))
    assert [("baseline" in r, "v7" in r) for r in decision.reasons] == [(True, False), (False, True)]


@pytest.mark.parametrize(("margin", "promoted"), [(0.0, False), (0.005, False), (0.02, True)])
def test_the_margin_is_how_much_worse_is_still_accepted(margin: float, promoted: bool) -> None:
    assert decide(evaluation(0.77, 0.72, 0.78), margin=margin).promoted is promoted


@pytest.mark.parametrize(("min_gain", "promoted"), [(0.04, True), (0.06, False)])
def test_the_gain_over_the_baseline_can_be_asked_for(min_gain: float, promoted: bool) -> None:
    assert decide(evaluation(0.77, 0.72), min_gain=min_gain).promoted is promoted


def test_a_lower_log_loss_is_better() -> None:
    assert decide(evaluation(champion=0.9, log_loss=0.40), metric="log_loss").promoted
    assert not decide(evaluation(champion=0.9, log_loss=0.42), metric="log_loss").promoted


def test_the_same_version_may_be_deployed_again() -> None:
    assert decide(evaluation(0.77, 0.72, 0.77)).promoted


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, "0.9", True])
def test_a_metric_that_is_no_number_never_promotes(bad: Any) -> None:
    assert not decide(evaluation(auc=bad)).promoted
    assert not decide(evaluation(linear=bad)).promoted
    assert not decide(evaluation(champion={"uri": "u", "version": "v7", "metrics": {"auc": bad}})).promoted


def test_a_metric_that_is_not_defined_says_why() -> None:
    found = evaluation(auc=None) | {"notes": ["auc is not defined: the holdout has one class"]}
    assert decide(found).reasons == (
        "the model's auc could not be computed on the holdout: auc is not defined: the holdout has one class",
    )


def test_a_version_now_served_that_cannot_be_read_blocks_unless_allowed() -> None:
    broken = evaluation(champion={"uri": "u", "error": "model.onnx: changed"})
    refused = decide(broken)
    assert not refused.promoted
    assert "model.onnx: changed" in refused.reasons[0]
    assert "allow_unreadable_champion" in refused.reasons[0]
    assert decide(broken, allow_unreadable_champion=True).promoted
    assert not decide(evaluation(0.7, 0.72, {"uri": "u", "error": "x"}), allow_unreadable_champion=True).promoted


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"margin": -0.1}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"min_gain": math.inf}, "min_gain"),
        ({"metric": "acc"}, r"auc.*'acc'"),
        ({"metric": "bias"}, "bias"),
        ({"baseline": "forest"}, r"linear.*'forest'"),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_words(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decide(evaluation(), **parameters)


score = st.floats(-1e6, 1e6)
tolerance = st.floats(0, 1e3)


@given(score, score, score, st.none() | score, tolerance, tolerance, st.sampled_from(["auc", "log_loss"]))
def test_a_better_model_is_never_refused_where_a_worse_one_is_promoted(
    one: float, two: float, linear: float, champion: float | None, margin: float, min_gain: float, metric: str
) -> None:
    better, worse = (max(one, two), min(one, two)) if DIRECTIONS[metric] == "higher" else (min(one, two), max(one, two))

    def promoted(value: float) -> bool:
        raw = evaluation(primary=metric)
        raw["metrics"][metric] = value
        raw["baselines"]["linear"][metric] = linear
        raw["champion"] = None if champion is None else {"uri": "u", "version": "v", "metrics": {metric: champion}}
        return decide(raw, margin=margin, min_gain=min_gain).promoted

    assert promoted(better) or not promoted(worse)


@given(score, score, score, tolerance, tolerance)
def test_a_wider_margin_never_refuses_what_a_narrower_one_promotes(
    mine: float, linear: float, champion: float, one: float, two: float
) -> None:
    raw = evaluation(mine, linear, champion)
    narrow, wide = sorted((one, two))
    assert decide(raw, margin=wide).promoted or not decide(raw, margin=narrow).promoted


@given(score, score)
def test_nothing_is_promoted_that_does_not_beat_the_baseline(mine: float, linear: float) -> None:
    assume(mine <= linear)
    assert not decide(evaluation(mine, linear)).promoted
