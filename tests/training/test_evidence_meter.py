"""A rank is measured while it trains: what is data, what is compute, what is waiting for others."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seaway.training.evidence import peak, usage
from seaway.training.evidence.evidence import Evidence
from seaway.training.evidence.meter import Meter
from seaway.training.peers import Alone
from seaway.training.place import Place

MS = 1e-3


def spend(seconds: float) -> None:
    """Wait as for a disk, without the CPU."""
    threading.Event().wait(seconds)


class Threads:
    """Ranks as threads that meet at a real barrier."""

    connected = True

    def __init__(self, rank: int, size: int, shared: dict[str, Any]) -> None:
        self.place, self._shared = Place(rank=rank, world_size=size), shared
        self.met = 0

    def barrier(self) -> None:
        self.met += 1
        self._shared["barrier"].wait(30)

    def gather(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        self._shared[self.place.rank] = np.asarray(array, np.float64)
        self._shared["barrier"].wait(30)
        found = np.stack([self._shared[r] for r in range(self.place.world_size)])
        self._shared["barrier"].wait(30)
        return found

    def share(self, content: bytes) -> bytes:
        raise NotImplementedError


def together(size: int, body: Callable[[Threads], Any]) -> list[Any]:
    """What ``body`` gives on every rank."""
    shared: dict[str, Any] = {"barrier": threading.Barrier(size)}
    out: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            out[rank] = body(Threads(rank, size, shared))
        except BaseException as e:
            out[rank] = e
            shared["barrier"].abort()

    threads = [threading.Thread(target=run, args=(r,)) for r in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for found in out:
        if isinstance(found, BaseException):
            raise found
    return out


def loop(peers: Any, *, steps: int, data_ms: float, compute_ms: float, every: int = 4) -> tuple[Meter, int]:
    """Train: wait for data, compute, exchange at a barrier as every synchronous step does."""
    meter, sampled = Meter(peers, rows_total=10 * steps, flops_per_row=100, every=every), 0

    def batches() -> Iterator[int]:
        for number in range(steps):
            spend(data_ms * MS)
            yield number

    for number in meter.batches(batches()):
        with meter.step(number, 5) as computed:
            spend(compute_ms * MS)
            if computed is not None:
                sampled += 1
                computed()
            peers.gather(np.zeros(1))
    return meter, sampled


@pytest.mark.parametrize(("data", "compute", "said"), [(20, 2, "waits for data"), (2, 20, "computes")])
def test_the_slow_rank_is_named_and_whether_by_data_or_compute(data: float, compute: float, said: str) -> None:
    def body(peers: Threads) -> Evidence | None:
        slow = peers.place.rank == 1
        meter, _ = loop(peers, steps=24, data_ms=data if slow else 2, compute_ms=compute if slow else 2)
        return meter.finish()

    found, other = together(2, body)
    assert other is None
    assert f"rank 1 {said}" in found.verdict[0], found.verdict
    assert found.evenness < 0.5
    assert found.ranks[0].wait_ms > 8 > found.ranks[1].wait_ms
    assert found.ranks[0].rows_per_s == pytest.approx(found.ranks[1].rows_per_s, rel=0.2)


def test_all_ranks_sample_the_same_steps_and_few_of_them() -> None:
    def body(peers: Threads) -> tuple[int, int]:
        _, sampled = loop(peers, steps=40, data_ms=0, compute_ms=0, every=16)
        return sampled, peers.met

    # 8 and 24 are in the middle of sixteen; the second, fourth and eighth step are early ones
    assert together(3, body) == [(4, 4)] * 3


def test_an_epoch_tells_its_figures_and_the_leader_says_who_straggles(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    def body(peers: Threads) -> dict[str, float]:
        meter, _ = loop(peers, steps=12, data_ms=20 if peers.place.rank == 2 else 1, compute_ms=2)
        return meter.epoch(1, {"epoch": 1, "loss": 0.5})

    found = together(3, body)
    assert found[0].keys() == {"data_ms", "compute_ms", "wait_ms", "rows_per_s", "cpu", "rss_mb"}
    assert found[2]["data_ms"] > 15 > found[0]["data_ms"]
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1, said
    assert said[0].startswith("epoch 1: rank 2 waits for data ")


def test_a_training_without_steps_has_time_cores_and_memory() -> None:
    meter = Meter(Alone(), rows_total=100)
    until, counted = time.process_time() + 0.2, 0
    while time.process_time() < until:
        counted += 1
    found = meter.finish()
    assert found is not None
    (rank,) = found.ranks
    assert 0.1 < rank.cpu_util <= rank.cores + 0.5
    assert rank.seconds >= 0.2 / rank.cores
    assert rank.peak_rss_mb > 20
    assert (rank.steps, rank.compute_ms, rank.rows_per_s, rank.mfu) == (0, None, None, None)
    assert found.evenness == 1.0
    assert set(found.figures()) == {"evenness", "cpu_util", "peak_rss_mb"}
    json.dumps(found.to_dict(), allow_nan=False)


def test_steps_that_never_call_back_are_timed_as_a_whole() -> None:
    meter = Meter(Alone(), rows_total=30)
    for number in range(20):
        with meter.step(number, 30):
            spend(2 * MS)
    found = meter.finish()
    assert found is not None
    assert found.ranks[0].samples == 0
    assert 2 <= (found.ranks[0].compute_ms or 0) < 20
    assert found.ranks[0].wait_ms is None


def test_a_step_that_fails_is_none_and_its_error_goes_on() -> None:
    meter = Meter(Alone(), rows_total=30)
    with pytest.raises(ZeroDivisionError), meter.step(0, 30):
        raise ZeroDivisionError
    found = meter.finish()
    assert found is not None
    assert found.ranks[0].steps == 0


def test_the_baseline_is_kept_and_what_came_before_it_forgotten() -> None:
    meter, _ = loop(Alone(), steps=4, data_ms=0, compute_ms=0)
    meter.baseline(100.0, 80.0)
    found = meter.finish()
    assert found is not None
    assert found.scaling is not None
    assert found.ranks[0].steps == 0
    assert found.scaling.efficiency == pytest.approx(0.8)


def test_operations_are_held_against_a_measured_product_of_matrices() -> None:
    began = time.perf_counter()
    rate, said = peak.of_cores(2)
    assert time.perf_counter() - began < 2
    assert rate == pytest.approx(2 * peak.of_cores(1)[0], rel=0.8)
    assert "on 2 cores" in said
    assert "fp32" in said
    meter, _ = loop(Alone(), steps=8, data_ms=0, compute_ms=1)
    found = meter.finish()
    assert found is not None
    assert "measured matrix product" in found.peak
    assert 0 < (found.ranks[0].mfu or 0) < 0.01


@pytest.mark.parametrize(
    ("name", "precision", "wanted"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5),
        ("NVIDIA H100 80GB HBM3", "float32", 67.0),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5),
        ("NVIDIA H200", "bfloat16", 989.5),
        ("NVIDIA A100-SXM4-40GB", "bfloat16", 312.0),
        ("NVIDIA L4", "float32", 30.3),
        ("NVIDIA L4", "auto", 121.0),
        ("Tesla T4", "auto", 8.1),
        ("Tesla T4", "float16", 65.0),
        ("Tesla V100-SXM2-16GB", "float32", 15.7),
    ],
)
def test_a_known_chip_has_the_peak_of_its_data_sheet(name: str, precision: str, wanted: float) -> None:
    found = peak.of_chip(name, precision)
    assert found is not None
    assert found[0] == wanted * 1e12
    assert "data sheet" in found[1]


@pytest.mark.parametrize("name", ["NVIDIA L40S", "Radeon", "", "NVIDIA T400"])
def test_an_unknown_chip_has_none(name: str) -> None:
    assert peak.of_chip(name, "bfloat16") is None


def test_memory_at_its_largest_is_this_programs_own() -> None:
    before = usage.peak_rss_mb()
    held = np.ones(64 * 2**20 // 8)
    assert usage.peak_rss_mb() >= min(before + 40, usage.rss_mb())
    assert usage.rss_mb() > held.nbytes / 2**20


class FakeCuda:
    """As ``torch.cuda`` where there is a GPU."""

    waited = 0

    def synchronize(self) -> None:
        self.waited += 1

    def get_device_name(self) -> str:
        return "NVIDIA H100 80GB HBM3"

    def max_memory_allocated(self) -> int:
        return 3 * 2**30


def test_a_gpu_is_waited_for_sampled_and_held_against_its_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, asked = FakeCuda(), []
    library = ModuleType("pynvml")
    library.__dict__.update(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=asked.append,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=40),
    )
    monkeypatch.setattr(usage, "_torch_cuda", lambda: cuda)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setenv("LOCAL_RANK", "1")
    meter, sampled = loop(Alone(), steps=12, data_ms=0, compute_ms=1)
    found = meter.finish()
    assert asked == [5]
    assert cuda.waited >= 2 * sampled
    assert found is not None
    assert found.ranks[0].gpu_util == pytest.approx(0.4)
    assert found.ranks[0].peak_gpu_mb == 3 * 1024
    assert found.peak == "the H100's fp32 peak of 67 TFLOP/s (data sheet)"
    assert any(v.startswith("the GPU of rank 0 works 40% of the time") for v in found.verdict)


def test_a_gpu_that_nothing_tells_about_has_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_torch_cuda", FakeCuda)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    meter, _ = loop(Alone(), steps=6, data_ms=0, compute_ms=0)
    found = meter.finish()
    assert found is not None
    assert found.ranks[0].gpu_util is None
    assert found.ranks[0].mfu is not None
