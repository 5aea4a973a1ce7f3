"""What is learned from the flights: ``python benchmarks/flights.py [--target late] [--framework pytorch]``.

AUC of ``late`` on the untouched holdout, for the random split and for the split by time, and RMSE of ``delay_minutes``
likewise: boosted trees (sklearn) and the network (pytorch, one replica), beside the linear and trivial baselines that
every evaluation has.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from line import features

from seaway.data.flights import write
from seaway.evaluation.step import evaluate
from seaway.training.spec import ENV, TrainSpec

FRAMEWORKS = ("sklearn", "pytorch")
CASES = (
    ("late", "delay_minutes", "random"),
    ("late", "delay_minutes", "time"),
    ("delay_minutes", "late", "random"),
    ("delay_minutes", "late", "time"),
)


def one(data: Path, folder: Path, target: str, other: str, split: str, framework: str):
    time_column = "scheduled_departure" if split == "time" else ""
    made = features(data, folder, target=target, exclude=[other], split=split, time_column=time_column)
    package = str(folder / "model")
    spec = TrainSpec(name="flights", version="bench", framework=framework, output=package, **made)
    command = [sys.executable, "-m", f"seaway.training.{framework}"]
    subprocess.run(command, env={**os.environ, ENV: spec.to_json()}, check=True, stdout=subprocess.DEVNULL)
    return evaluate(
        model=package,
        test=str(folder / "test"),
        train_features=made["train"],
        features=made["features"],
        evaluation=str(folder / "evaluation.json"),
        report=str(folder / "evaluation.html"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["late", "delay_minutes"], default="")
    parser.add_argument("--framework", choices=FRAMEWORKS, action="append", default=[])
    chosen = parser.parse_args()
    head = ("model", "linear", "trivial", "gain")
    columns = f"{'target':<14} {'split':<7} {'framework':<10} {'metric':<6} "
    sys.stdout.write(columns + " ".join(f"{h:>8}" for h in head) + "  s\n")
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as root:
        data = write(Path(root)).path
        for target, other, split in CASES:
            for framework in chosen.framework or FRAMEWORKS:
                if chosen.target and target != chosen.target:
                    continue
                folder = Path(root) / f"{target}-{split}-{framework}"
                folder.mkdir()
                before = time.perf_counter()
                found = one(data, folder, target, other, split, framework)
                model, linear = found.metrics[found.primary], found.baselines["linear"][found.primary]
                trivial = found.baselines["trivial"][found.primary]
                took = time.perf_counter() - before
                sys.stdout.write(
                    f"{target:<14} {split:<7} {framework:<10} {found.primary:<6} {model:8.4f} {linear:8.4f} "
                    f"{trivial:8.4f} {abs(model - linear):8.4f}  {took:.0f}\n"
                )


if __name__ == "__main__":
    main()
