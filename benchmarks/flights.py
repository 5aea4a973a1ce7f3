"""What is learned from the flights: ``python benchmarks/flights.py [--target late] [--split random]``.

AUC of ``late`` on the untouched holdout, for the random split and for the split by time, and RMSE of ``delay_minutes``
likewise, by every framework on one replica: boosted trees (sklearn, xgboost) and networks (pytorch, jax, tensorflow),
beside the linear and trivial baselines that every evaluation has; and how far the ONNX graph is from the framework on
held-out rows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from line import features

from seaway.data.flights import write
from seaway.evaluation.step import evaluate
from seaway.model import package
from seaway.training.spec import ENV, TrainSpec

FRAMEWORKS = ("sklearn", "xgboost", "pytorch", "jax", "tensorflow")
GAIN = 0.04
"""Over the linear baseline, of the AUC on the random split."""
CASES = (
    ("late", "delay_minutes", "random"),
    ("late", "delay_minutes", "time"),
    ("delay_minutes", "late", "random"),
    ("delay_minutes", "late", "time"),
)


def one(made: dict[str, Any], holdout: Path, folder: Path, framework: str) -> tuple[Any, dict[str, Any]]:
    """Train and judge one model."""
    uri = str(folder / "model")
    spec = TrainSpec(name="flights", version="bench", framework=framework, output=uri, **made)
    command = [sys.executable, "-m", f"seaway.training.{framework}"]
    done = subprocess.run(command, env={**os.environ, ENV: spec.to_json()}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{framework} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = evaluate(
        model=uri,
        test=str(holdout),
        train_features=made["train"],
        features=made["features"],
        evaluation=str(folder / "evaluation.json"),
        report=str(folder / "evaluation.html"),
    )
    return found, package.read_info(uri)["agreement"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["late", "delay_minutes"], default="")
    parser.add_argument("--split", choices=["random", "time"], default="")
    parser.add_argument("--framework", choices=FRAMEWORKS, action="append", default=[])
    chosen = parser.parse_args()
    columns = f"{'target':<14} {'split':<7} {'framework':<10} {'metric':<6} "
    head = ("model", "linear", "trivial", "gain")
    sys.stdout.write(columns + " ".join(f"{h:>8}" for h in head) + "    s  ONNX apart, rows\n")
    ok = True
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as root:
        data = write(Path(root)).path
        for target, other, split in CASES:
            if chosen.target not in ("", target) or chosen.split not in ("", split):
                continue
            line = Path(root) / f"{target}-{split}"
            line.mkdir()
            time_column = "scheduled_departure" if split == "time" else ""
            made = features(data, line, target=target, exclude=[other], split=split, time_column=time_column)
            for framework in chosen.framework or FRAMEWORKS:
                folder = line / framework
                folder.mkdir()
                before = time.perf_counter()
                found, agreed = one(made, line / "test", folder, framework)
                took = time.perf_counter() - before
                model, linear = found.metrics[found.primary], found.baselines["linear"][found.primary]
                trivial = found.baselines["trivial"][found.primary]
                gain, apart = (model - linear) * (1 if found.primary == "auc" else -1), agreed["max_difference"]
                ok &= apart <= agreed["tolerance"] and (gain >= GAIN or (target, split) != ("late", "random"))
                sys.stdout.write(
                    f"{target:<14} {split:<7} {framework:<10} {found.primary:<6} {model:8.4f} {linear:8.4f} "
                    f"{trivial:8.4f} {gain:8.4f} {took:4.0f}  {apart:.1e}, {agreed['rows']:,}\n"
                )
                sys.stdout.flush()
    sys.stdout.write(f"late, random split: at least {GAIN} over linear, and all ONNX within tolerance: {ok}\n")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
