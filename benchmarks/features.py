"""Rows per second of fit and transform, beside scikit-learn's and beside the least that it could take.

    python benchmarks/features.py [--repeats 5] [--rows 0]

Three ways from one and the same Parquet file, the flights with a target, to one and the same float32 matrix in memory:

    seaway     `fit` over a lazy frame, the plan as an ONNX graph, `matrix`
    sklearn    pandas.read_parquet and a ColumnTransformer with the same steps, fit_transform
    floor      the same by hand with pyarrow and numpy, for these steps only: strings as dictionary codes, every column
               written once into its place

All may use all cores. They take turns in one process; the matrices are compared before anything is timed, and medians
are printed. Limit: seaway's rows per second at least 8x scikit-learn's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator as SkMissingIndicator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from seaway.data import flights
from seaway.data.infer import infer
from seaway.data.profile import profile
from seaway.features.fit import fit
from seaway.features.fitted_plan import FittedPlan
from seaway.features.graph import to_onnx
from seaway.features.infer import infer as infer_plan
from seaway.features.kinds import DateParts, MissingIndicator, Numeric, OneHot
from seaway.features.plan import FeaturePlan
from seaway.features.transform import matrix
from seaway.model.columns import feeds
from seaway.model.contract import Contract
from seaway.model.session import open_session

LIMIT = 8.0
HEADS = ("seconds", "least", "most", "CPU s", "rows/s", "of sklearn", "of floor")
DAY = 86_400_000_000


def ours(path: Path, plan: FeaturePlan, contract: Contract) -> tuple[FittedPlan, np.ndarray]:
    fitted = fit(plan, contract, pl.scan_parquet(path))
    return fitted, matrix(to_onnx(fitted, contract).SerializeToString(), path, contract)


def peer(path: Path, plan: FeaturePlan) -> tuple[ColumnTransformer, np.ndarray]:
    table = pd.read_parquet(path, columns=list(plan.columns))
    numbers = [f.column for f in plan.features if isinstance(f, Numeric)]
    absent = [f.column for f in plan.features if isinstance(f, MissingIndicator)]
    hot = {f.column: f for f in plan.features if isinstance(f, OneHot)}
    times = [f.column for f in plan.features if isinstance(f, DateParts)]
    steps = [
        # the mean and deviation are those of the values present, as ours are
        ("numbers", make_pipeline(StandardScaler(), SimpleImputer(strategy="median")), numbers),
        ("absent", SkMissingIndicator(features="all"), [c for c in absent if c not in hot]),
        ("dates", FunctionTransformer(dates), times),
    ]
    for column, f in hot.items():
        # one of their categories is for the rare, and one for the missing if there are any: ours are counted apart
        extra = 1 + int(table[column].isna().any())
        encoder = OneHotEncoder(
            min_frequency=f.min_frequency,
            max_categories=f.max_categories + extra,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
            dtype=np.float32,
        )
        steps.append((f"hot-{column}", encoder, [column]))
    transformer = ColumnTransformer(steps)
    return transformer, transformer.fit_transform(table).astype(np.float32)


def dates(table: pd.DataFrame) -> np.ndarray:
    out = []
    for name in table.columns:
        t = table[name].dt
        for part, count in ((t.hour * 60 + t.minute, 1440), (t.dayofweek, 7), (t.dayofyear - 1, 366)):
            angle = part.to_numpy() * (2 * np.pi / count)
            out += [np.sin(angle), np.cos(angle)]
    return np.column_stack(out)


def floor(path: Path, plan: FeaturePlan, names: tuple[str, ...]) -> np.ndarray:
    strings = [f.column for f in plan.features if isinstance(f, OneHot)]
    table = pq.read_table(path, columns=list(plan.columns), read_dictionary=strings)
    place = {name: k for k, name in enumerate(names)}
    out = np.zeros((table.num_rows, len(names)), np.float32)
    rows = np.arange(table.num_rows)
    for f in plan.features:
        column = table[f.column]
        if isinstance(f, Numeric):
            x = column.to_numpy().astype(np.float64)
            gone = np.isnan(x)
            present = x[~gone] if gone.any() else x
            x = np.where(gone, np.median(present), x)
            out[:, place[f.column]] = (x - present.mean()) / present.std()
        elif isinstance(f, MissingIndicator) and f.column not in strings:
            out[:, place[f"{f.column}.missing"]] = column.is_null().to_numpy()
        elif isinstance(f, DateParts):
            micros = column.cast("int64").to_numpy()
            day = micros // DAY
            year = np.arange("2013-01-01", "2014-01-02", dtype="datetime64[D]").astype(np.int64)
            of_year = (np.arange(len(year)) % 365)[day - year[0]]  # of this table: one year and a day of the next
            for part, count, index in (
                ("minute_of_day", 1440, (micros - day * DAY) // 60_000_000),
                ("day_of_week", 7, (day + 3) % 7),
                ("day_of_year", 366, of_year),
            ):
                angle = np.arange(count) * (2 * np.pi / count)
                out[:, place[f"{f.column}.{part}.sin"]] = np.sin(angle)[index]
                out[:, place[f"{f.column}.{part}.cos"]] = np.cos(angle)[index]
        elif isinstance(f, OneHot):
            whole = column.unify_dictionaries().combine_chunks()
            values = whole.dictionary.to_pylist()
            codes = whole.indices.fill_null(len(values)).to_numpy()
            # a name that the plan did not keep is not among the columns
            unknown = place[f"{f.column}=<unknown>"]
            target = [place.get(f"{f.column}={v}", unknown) for v in values] + [place[f"{f.column}=<missing>"]]
            np.bincount(codes, minlength=len(target))  # counting is what choosing them takes
            out[rows, np.asarray(target)[codes]] = 1
    return out


def same(mine: np.ndarray, names: tuple[str, ...], transformer: ColumnTransformer, theirs: np.ndarray) -> int:
    """Assert that every column that both have is equal, and that what only we have is empty; how many are compared."""
    place = {name: k for k, name in enumerate(names)}
    ends = {step: s.start for step, s in transformer.output_indices_.items()}
    compared = set()

    def equal(name: str, index: int) -> None:
        np.testing.assert_allclose(mine[:, place[name]], theirs[:, index], rtol=1e-5, atol=1e-5, err_msg=name)
        compared.add(name)

    for step, encoder, columns in transformer.transformers_:
        if step == "numbers":
            suffixes = [[c] for c in columns]
        elif step == "absent":
            suffixes = [[f"{c}.missing"] for c in columns]
        elif step == "dates":
            parts = ("minute_of_day", "day_of_week", "day_of_year")
            suffixes = [[f"{c}.{p}.{w}" for p in parts for w in ("sin", "cos")] for c in columns]
        else:
            column = columns[0]
            labels = [n.removeprefix(f"{column}_") for n in encoder.get_feature_names_out([column])]
            special = {"infrequent_sklearn": "<unknown>", "None": "<missing>", "nan": "<missing>"}
            suffixes = [[f"{column}={special.get(v, v)}" for v in labels]]
        for k, name in enumerate(n for group in suffixes for n in group):
            equal(name, ends[step] + k)
    rest = [n for n in names if n not in compared and not mine[:, place[n]].any()]
    # a missing string has its indicator too, which scikit-learn's one-hot column already is
    doubled = [n for n in names if n.endswith(".missing") and f"{n.removesuffix('.missing')}=<missing>" in place]
    assert compared | set(rest) | set(doubled) == set(names), sorted(set(names) - compared - set(rest))
    return len(compared)


def untied(plan: FeaturePlan, contract: Contract, path: Path) -> FeaturePlan:
    """The plan with fewer categories where the last one kept is as frequent as the next: there scikit-learn differs."""
    wider = [replace(f, max_categories=f.max_categories + 1) if isinstance(f, OneHot) else f for f in plan.features]
    features = []
    for feature, fitted in zip(
        plan.features, fit(FeaturePlan(features=tuple(wider)), contract, pl.scan_parquet(path)).features, strict=True
    ):
        if isinstance(feature, OneHot):
            most = min(feature.max_categories, len(fitted.counts))
            while most < len(fitted.counts) and fitted.counts[most - 1] == fitted.counts[most]:
                most -= 1
            feature = replace(feature, max_categories=most)
        features.append(feature)
    return FeaturePlan(features=tuple(features))


def one_row_us(fitted: FittedPlan, contract: Contract, path: Path) -> float:
    """Median over rounds of one row through the graph alone."""
    session = open_session(to_onnx(fitted, contract).SerializeToString())
    row = pl.scan_parquet(path).head(1).collect()
    inputs = feeds(row, contract)
    inputs = {i.name: inputs[i.name] for i in session.get_inputs()}
    rounds = []
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(100):
            session.run(None, inputs)
        rounds.append((time.perf_counter() - started) / 100 * 1e6)
    return statistics.median(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=0, help="only the first so many rows; 0 for all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        written = flights.write(Path(folder))
        path = Path(folder) / "train.parquet"
        table = pl.read_parquet(written.path).drop("delay_minutes").drop_nulls("late")
        if arguments.rows:
            table = table.head(arguments.rows)
        table.write_parquet(path, row_group_size=100_000)
        contract = infer(pl.scan_parquet(path), target="late")
        plan = infer_plan(contract, profile(pl.scan_parquet(path), contract))
        del table
        plan = untied(plan, contract, path)
        fitted, mine = ours(path, plan, contract)
        names, (rows, width) = fitted.feature_names, mine.shape
        transformer, theirs = peer(path, plan)
        compared = same(mine, names, transformer, theirs)
        np.testing.assert_allclose(
            _without_doubles(mine, names), _without_doubles(floor(path, plan, names), names), rtol=1e-5, atol=1e-5
        )
        print(f"{rows:,} rows, {len(plan.columns)} columns to {width} features, {os.cpu_count()} cores")
        print(f"{compared} features equal scikit-learn's within 1e-5, it has no others; all equal the floor's")
        del mine, theirs
        ways: dict[str, Callable[[], object]] = {
            "seaway": lambda: ours(path, plan, contract),
            "sklearn": lambda: peer(path, plan),
            "floor": lambda: floor(path, plan, names),
        }
        walls: dict[str, list[float]] = {name: [] for name in ways}
        cpus: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.repeats):
            for name, way in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                way()
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
        medians = {name: statistics.median(found) for name, found in walls.items()}
        print("         " + " ".join(f"{h:>10}" for h in HEADS))
        for name, median in medians.items():
            cells = [f"{x:.2f}" for x in (median, min(walls[name]), max(walls[name]), statistics.median(cpus[name]))]
            cells += [f"{rows / median:,.0f}", *(f"{medians[k] / median:.2f}x" for k in ("sklearn", "floor"))]
            print(f"{name:8} " + " ".join(f"{cell:>10}" for cell in cells))
        ratio = medians["sklearn"] / medians["seaway"]
        print(f"seaway / sklearn: {ratio:.1f}x, limit {LIMIT:.0f}x: {'holds' if ratio >= LIMIT else 'MISSED'}")
        print(f"one row through the graph: {one_row_us(fitted, contract, path):.0f} us")


def _without_doubles(table: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return table[
        :, [not (n.endswith(".missing") and f"{n.removesuffix('.missing')}=<missing>" in names) for n in names]
    ]


if __name__ == "__main__":
    main()
