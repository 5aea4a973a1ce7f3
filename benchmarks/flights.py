"""What is learned from the flights: ``python benchmarks/flights.py [--rows N]``.

AUC of ``late`` on the untouched holdout, for the random split and for the split by time: boosted trees and the linear
and trivial baselines that every evaluation has, and RMSE of ``delay_minutes`` likewise.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from seaway.data.flights import write
from seaway.data.ingest import ingest
from seaway.evaluation.step import evaluate
from seaway.features.step import featurize
from seaway.training.sklearn import train
from seaway.training.spec import TrainSpec

CASES = (
    ("late", "delay_minutes", "random"),
    ("late", "delay_minutes", "time"),
    ("delay_minutes", "late", "random"),
    ("delay_minutes", "late", "time"),
)


def one(data: Path, folder: Path, target: str, other: str, split: str):
    def path(name: str) -> str:
        return str(folder / name)

    ingest(
        data=str(data),
        target=target,
        exclude=[other],
        split=split,
        time_column="scheduled_departure" if split == "time" else "",
        train=path("train"),
        validation=path("validation"),
        test=path("test"),
        contract_out=path("contract"),
        profile_out=path("profile"),
        report=path("data.html"),
    )
    featurize(
        train=path("train"),
        validation=path("validation"),
        contract=path("contract"),
        profile=path("profile"),
        features=path("features"),
        train_features=path("train_features"),
        validation_features=path("validation_features"),
        report=path("features.html"),
    )
    spec = TrainSpec(
        name="flights",
        version="bench",
        framework="sklearn",
        train=path("train_features"),
        validation=path("validation_features"),
        validation_rows=path("validation"),
        features=path("features"),
        contract=path("contract"),
        output=path("model"),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # the worker prints metrics for Katib
        train(spec)
    return evaluate(
        model=path("model"),
        test=path("test"),
        train_features=path("train_features"),
        features=path("features"),
        evaluation=path("evaluation.json"),
        report=path("evaluation.html"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["late", "delay_minutes"], default="")
    chosen = parser.parse_args().target
    head = ("trees", "linear", "trivial", "gain")
    sys.stdout.write(f"{'target':<14} {'split':<7} {'metric':<6} " + " ".join(f"{h:>8}" for h in head) + "  s\n")
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as root:
        data = write(Path(root)).path
        for number, (target, other, split) in enumerate(CASES):
            if chosen and target != chosen:
                continue
            folder = Path(root) / str(number)
            folder.mkdir()
            before = time.perf_counter()
            found = one(data, folder, target, other, split)
            model, linear = found.metrics[found.primary], found.baselines["linear"][found.primary]
            trivial = found.baselines["trivial"][found.primary]
            took = time.perf_counter() - before
            sys.stdout.write(
                f"{target:<14} {split:<7} {found.primary:<6} {model:8.4f} {linear:8.4f} {trivial:8.4f} "
                f"{abs(model - linear):8.4f}  {took:.0f}\n"
            )


if __name__ == "__main__":
    main()
