"""Figures become plain words: who keeps whom waiting, what is idle, and what the next run should request."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.training.evidence import report
from seaway.training.evidence.evidence import Epoch, Evidence, RankEvidence, Scaling, evenness
from seaway.training.evidence.meter import against_the_greatest
from seaway.training.evidence.recommend import recommend, wanted_cores
from seaway.training.evidence.verdict import judged, straggler, verdict


def rank(number: int, **other: Any) -> RankEvidence:
    known: dict[str, Any] = {
        "steps": 640,
        "samples": 20,
        "data_ms": 0.1,
        "compute_ms": 5.0,
        "wait_ms": 0.3,
        "exchange_ms": 1.0,
        "cpu_util": 0.9,
        "cpu_peak": 0.95,
        "cores": 2,
        "peak_rss_mb": 500.0,
        "seconds": 10.0,
        "rows_per_s": 10_000.0,
    }
    return RankEvidence(rank=number, **{**known, **other})


def evidence(*ranks: RankEvidence, **other: Any) -> Evidence:
    return judged(Evidence(ranks=ranks, evenness=evenness(ranks), **other))


def test_a_rank_that_waits_for_data_is_named_with_its_share() -> None:
    others = (rank(0, wait_ms=9.9), rank(1, wait_ms=10.1), rank(2, wait_ms=9.8))
    found = evidence(*others, rank(3, data_ms=10.1))
    assert found.verdict[0] == (
        "rank 3 waits for data 62% of the time, 10 ms a step more than the others, and the others wait 9.9 ms a step "
        "for it: more loader workers or faster storage"
    )


def test_a_rank_that_computes_longer_is_named() -> None:
    found = evidence(rank(0, wait_ms=20.0), rank(1, compute_ms=25.0, wait_ms=0.1))
    assert found.verdict[0].startswith("rank 1 computes 20 ms a step longer than the others, and the others wait 20 ms")
    assert "look at that replica's node (CPU limit, other work)" in found.verdict[0]


def test_even_ranks_are_said_to_be_busy_alike() -> None:
    found = evidence(rank(0), rank(1, compute_ms=5.15))
    assert found.verdict[0] == "all ranks are busy alike (evenness 0.97)"


def test_a_fast_rank_among_alike_ones_makes_none_of_them_a_straggler() -> None:
    ranks = [rank(0), rank(1), rank(2), rank(3, compute_ms=3.0)]
    assert straggler(ranks) == ""
    assert "none of them stands out" in evidence(*ranks).verdict[0]


def test_ranks_that_are_slow_by_turns_make_none_of_them_a_straggler() -> None:
    ranks = [rank(0, compute_ms=16.8, wait_ms=6.5), rank(1, compute_ms=13.2, wait_ms=7.7)]
    assert straggler(ranks) == ""
    said = evidence(*ranks).verdict
    assert said[1].startswith("the ranks wait for each other by turns, 27% of the time and more")


def test_a_rank_without_a_core_to_compute_on_is_named_and_given_a_whole_one() -> None:
    found = evidence(rank(0), rank(1, computing_cores=0.5, cpu_util=0.4, cpu_peak=0.5))
    assert found.verdict[-2].startswith("rank 1 has 0.50 of a core while it computes: its CPU limit is too low")
    assert found.verdict[-1] == "the ranks use up to 0.9 of 2 cores, and would use more"
    alone = evidence(rank(0, computing_cores=0.5, cpu_util=0.4, cpu_peak=0.5)).recommendation
    assert alone is not None
    assert alone.cpu == "1250m"
    assert not rank(0, computing_cores=0.5, peak_gpu_mb=100.0).starved


def test_a_difference_that_clocks_have_too_names_nobody() -> None:
    assert straggler([rank(0, compute_ms=0.2), rank(1, compute_ms=0.4)]) == ""


def test_ranks_that_were_never_sampled_are_not_judged() -> None:
    ranks = [rank(0, samples=0, wait_ms=None), rank(1, samples=0, wait_ms=None, compute_ms=50.0)]
    assert evidence(*ranks).evenness is None
    assert evidence(*ranks).verdict[0] == "whether the ranks are even is not known: no step was sampled"


def test_data_that_all_wait_for_is_said_once() -> None:
    found = evidence(rank(0, data_ms=6.0), rank(1, data_ms=6.0)).verdict
    assert found[1] == "all ranks wait for data 49% of the time: more loader workers or faster storage"
    alone = evidence(rank(0, data_ms=6.0)).verdict
    assert alone[0] == "the training waits for data 49% of the time: more loader workers or faster storage"


def test_exchange_that_takes_most_of_a_step_is_said() -> None:
    found = evidence(rank(0, exchange_ms=12.0), rank(1, exchange_ms=12.0)).verdict
    assert any(v.startswith("the ranks spend 69% of a step on exchanging gradients") for v in found)


@pytest.mark.parametrize(
    ("together", "said", "replicas"),
    [
        (39_000, "adding ranks pays: efficiency 0.97", 4),
        (24_000, "adding ranks gains less than it costs: efficiency 0.60", 4),
        (12_400, "adding ranks gains little: efficiency 0.31", 2),
        (9_000, "adding ranks gains little: efficiency 0.23", 1),
    ],
)
def test_scaling_is_judged_by_its_efficiency(together: float, said: str, replicas: int) -> None:
    found = evidence(*(rank(k) for k in range(4)), scaling=Scaling(ranks=4, alone=10_000, together=together))
    assert any(v.startswith(said) for v in found.verdict), found.verdict
    assert found.recommendation is not None
    assert found.recommendation.replicas == replicas


def test_cores_that_are_idle_and_cores_that_lack_are_said() -> None:
    idle = evidence(rank(0, cpu_util=0.7, cpu_peak=0.78)).verdict[-1]
    assert idle == "the training uses 0.7 of 2 cores: one core is enough"
    full = evidence(rank(0, cpu_util=1.95, cpu_peak=2.0)).verdict[-1]
    assert full == "the training uses 1.9 of 2 cores: all there is, more may make it faster"


def test_an_idle_gpu_is_said() -> None:
    found = evidence(rank(0, gpu_util=0.9), rank(1, gpu_util=0.35)).verdict
    assert any(v.startswith("the GPU of rank 1 works 35% of the time") for v in found)


def test_the_recommendation_is_the_greatest_use_and_a_quarter_more() -> None:
    found = recommend(evidence(rank(0, cpu_util=0.6, cpu_peak=0.7, peak_rss_mb=700.0), rank(1, cpu_peak=0.5)))
    assert (found.cpu, found.memory, found.replicas) == ("1250m", "896Mi", 2)
    assert recommend(evidence(rank(0, cpu_util=1.9, cpu_peak=2.0))).cpu == "2"
    assert recommend(evidence(rank(0, cpu_util=0.01, cpu_peak=0.02))).cpu == "250m"


positive = st.floats(0.001, 1e5)
ranks_ = st.lists(
    st.builds(
        RankEvidence,
        rank=st.just(0),
        steps=st.integers(0, 10**6),
        samples=st.integers(0, 1000),
        data_ms=st.none() | positive,
        compute_ms=st.none() | positive,
        wait_ms=st.none() | positive,
        exchange_ms=st.none() | positive,
        cpu_util=st.floats(0, 300),
        cpu_peak=st.floats(0, 300),
        computing_cores=st.none() | st.floats(0, 64),
        cores=st.integers(1, 256),
        gpu_util=st.none() | st.floats(0, 1),
        peak_rss_mb=st.floats(1, 1e6),
        rows_per_s=st.none() | positive,
        flops_per_s=st.none() | positive | st.just(math.nan),
    ),
    min_size=1,
    max_size=8,
).map(lambda found: tuple(RankEvidence(**{**vars(r), "rank": k}) for k, r in enumerate(found)))
scalings = st.none() | st.builds(Scaling, ranks=st.integers(1, 64), alone=st.floats(0, 1e9), together=st.floats(0, 1e9))


@given(ranks_, scalings)
def test_any_figures_have_a_verdict_a_recommendation_and_a_page(
    ranks: tuple[RankEvidence, ...], scaling: Scaling | None
) -> None:
    found = evidence(*ranks, scaling=scaling)
    assert found.verdict
    assert found.evenness is None or 0 <= found.evenness <= 1
    assert 0.25 <= wanted_cores(ranks) <= max(r.cores for r in ranks)
    assert found.recommendation is not None
    assert re.fullmatch(r"\d+m?", found.recommendation.cpu)
    assert int(found.recommendation.memory.removesuffix("Mi")) >= max(r.peak_rss_mb for r in ranks)
    assert 1 <= found.recommendation.replicas <= len(ranks)
    assert all(math.isfinite(v) for v in found.figures().values())
    assert found.recommendation.cpu in report.html(found)


@given(ranks_)
def test_a_named_straggler_is_the_busiest_rank(ranks: tuple[RankEvidence, ...]) -> None:
    if said := straggler(ranks):
        number = int(said.split()[1])
        assert ranks[number].busy_ms == max(r.busy_ms or 0.0 for r in ranks)
        assert said == verdict(Evidence(ranks=ranks, evenness=evenness(ranks)))[0]


@given(ranks_, scalings)
def test_evidence_reads_what_it_wrote(ranks: tuple[RankEvidence, ...], scaling: Scaling | None) -> None:
    epochs = (Epoch(number=1, rows_per_s=3.0, losses={"loss": 0.5}), Epoch(number=2))
    found = evidence(*ranks, scaling=scaling, epochs=epochs, peak="words")
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert Evidence.from_dict(json.loads(text)).to_dict() == found.to_dict()


@pytest.mark.parametrize("raw", [{}, {"format": 2}, {"format": 1, "ranks": [{"steps": 1}]}])
def test_what_is_no_evidence_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a training's evidence must be what its worker wrote"):
        Evidence.from_dict(raw)


def test_the_page_holds_it_all_and_needs_nothing_else() -> None:
    found = evidence(
        rank(0, mfu=0.112, flops_per_s=7e9, wait_ms=20.0),
        rank(1, mfu=0.113, flops_per_s=7e9, data_ms=20.0),
        peak="a measured matrix product on 2 cores",
        scaling=Scaling(ranks=2, alone=10_000, together=19_000),
        epochs=tuple(Epoch(number=k, rows_per_s=1e4 + k, losses={"loss": 1 / k}) for k in (1, 2, 3)),
    )
    files = report.reports(found)
    assert files.keys() == {"training.json", "training.html"}
    assert Evidence.from_dict(json.loads(files["training.json"])).to_dict() == found.to_dict()
    page = files["training.html"]
    assert page.index("Rank 1 waits for data") < page.index("<svg")
    for wanted in ("11.2%", "a measured matrix product on 2 cores", "Losses", "cpu: 1250m", "--param memory=640Mi"):
        assert wanted in page
    assert not re.search(r"https?://|<script", page)
    assert files == report.reports(found)


def test_many_ranks_draw_the_busiest_and_list_all() -> None:
    page = report.html(evidence(*(rank(k, compute_ms=5.0 + k / 100) for k in range(50))))
    assert "The 32 busiest of 50 ranks." in page
    assert page.count("<td>49</td>") == 1
    assert "rank 49, compute" in page
    assert "rank 3, compute" not in page


def test_ranks_that_measured_different_peaks_are_held_against_the_greatest() -> None:
    # the second measured while the first computed: 10 instead of 70 GFLOP/s
    measured = (rank(0, flops_per_s=7e9, mfu=0.1), rank(1, flops_per_s=7e9, mfu=0.7))
    ranks, said = against_the_greatest(measured, threads=1)
    assert [r.mfu for r in ranks] == pytest.approx([0.1, 0.1])
    assert said == "a measured matrix product on 1 core (fp32, 70 GFLOP/s)"
