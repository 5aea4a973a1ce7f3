"""The features a plan is made of: one frozen class a transform, with its options and what they must hold.

In: JSON objects ``{"column": ..., "transform": ..., option: value}``. Out: typed features. `TRANSFORMS` names them all.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from seaway.errors import PlanError
from seaway.model.contract import DType

Impute = Literal["mean", "median", "constant", "none"]
Scale = Literal["standard", "min_max", "robust", "none"]
Part = Literal["hour", "minute_of_day", "day_of_week", "day_of_month", "month", "day_of_year", "week"]

MAX_ONE_HOT = 10_000
"""Most columns one feature may become: beyond, a dense float32 matrix is the wrong form."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` if something near is known, else nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column through one transform."""

    transform: ClassVar[str] = ""
    dtypes: ClassVar[tuple[DType, ...]] = get_args(DType)
    """The dtypes of the contract that the transform takes."""

    column: str

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not self.column:
            raise PlanError(f"a feature must name its column, found {self.column!r}")
        self.check()

    def check(self) -> None:
        """Whether the options hold; raises PlanError."""

    def wrong(self, option: str, must: str) -> PlanError:
        """The error for one option."""
        found = getattr(self, option)
        return PlanError(f"column {self.column!r}, {self.transform}: {option} must be {must}, found {found!r}")

    def one_of(self, option: str, known: tuple[str, ...]) -> None:
        """Check an option that is one of some words."""
        value = getattr(self, option)
        if value not in known:
            raise self.wrong(option, f"one of {', '.join(known)}{nearest(str(value), known)}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with all options."""
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "column"}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        return {"column": self.column, "transform": self.transform, **plain}


@dataclass(frozen=True, kw_only=True)
class Numeric(Feature):
    """A number: fill what is missing, take the logarithm if asked, scale.

    Statistics are those of the values present: missing and infinite ones do not count, nor what they are filled with.
    """

    transform: ClassVar[str] = "numeric"
    dtypes: ClassVar[tuple[DType, ...]] = ("int64", "float64", "bool")

    impute: Impute = "median"
    """``none`` leaves NaN in the features: boosted trees take it, linear models do not."""
    fill: float = 0.0
    """What ``impute=constant`` fills in."""
    log: bool = False
    """log(1 + x); an x below ``LOG_FLOOR`` counts as ``LOG_FLOOR``."""
    scale: Scale = "standard"

    def check(self) -> None:
        """Whether it can fill and scale as told."""
        self.one_of("impute", get_args(Impute))
        self.one_of("scale", get_args(Scale))
        if not _number(self.fill):
            raise self.wrong("fill", "a finite number")
        if not isinstance(self.log, bool):
            raise self.wrong("log", "true or false")


LOG_FLOOR = -1.0 + 1e-6
"""The least x of which log(1 + x) is taken: -13.8 is far out, but finite."""


@dataclass(frozen=True, kw_only=True)
class PassThrough(Feature):
    """The value as it is, as float32; missing and infinite values are NaN."""

    transform: ClassVar[str] = "pass_through"
    dtypes: ClassVar[tuple[DType, ...]] = ("int64", "float64", "bool")


@dataclass(frozen=True, kw_only=True)
class MissingIndicator(Feature):
    """1 where the value is missing (or infinite), else 0."""

    transform: ClassVar[str] = "missing_indicator"


@dataclass(frozen=True, kw_only=True)
class Bucketize(Feature):
    """A number as the interval it lies in: ``(-inf, e1), [e1, e2), ... [ek, inf)``."""

    transform: ClassVar[str] = "bucketize"
    dtypes: ClassVar[tuple[DType, ...]] = ("int64", "float64")

    quantiles: int = 0
    """This many buckets of about equal counts; equal edges are merged."""
    edges: tuple[float, ...] = ()
    """The inner edges, increasing, instead of ``quantiles``."""
    encode: Literal["one_hot", "ordinal"] = "one_hot"
    """``one_hot`` has a bucket for missing values too; ``ordinal`` is 0 for missing, then 1, 2, ..."""

    def check(self) -> None:
        """Whether there is one way to find the edges."""
        self.one_of("encode", ("one_hot", "ordinal"))
        if not all(_number(e) for e in self.edges) or any(
            b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)
        ):
            raise self.wrong("edges", "increasing finite numbers")
        if not _whole(self.quantiles) or not (0 <= self.quantiles <= MAX_ONE_HOT) or self.quantiles == 1:
            raise self.wrong("quantiles", f"a whole number from 2 to {MAX_ONE_HOT:,}, or 0 for explicit edges")
        if bool(self.quantiles) == bool(self.edges):
            raise PlanError(f"column {self.column!r}, bucketize: give either quantiles or edges")


@dataclass(frozen=True, kw_only=True)
class OneHot(Feature):
    """A category as 0/1 columns: unknown, missing, then those kept, most frequent first."""

    transform: ClassVar[str] = "one_hot"
    dtypes: ClassVar[tuple[DType, ...]] = ("string", "int64", "bool")

    min_frequency: float = 1
    """Keep a category seen in at least this many rows (1 or more) or this fraction of the rows (below 1)."""
    max_categories: int = 256
    """Keep at most this many, the most frequent; ties go to the smaller value."""

    def check(self) -> None:
        """Whether the limits are numbers of categories."""
        if not _number(self.min_frequency) or self.min_frequency <= 0:
            raise self.wrong("min_frequency", "a fraction above 0 or a count of at least 1")
        if not _whole(self.max_categories) or not 1 <= self.max_categories <= MAX_ONE_HOT:
            raise self.wrong("max_categories", f"a whole number from 1 to {MAX_ONE_HOT:,}")


@dataclass(frozen=True, kw_only=True)
class Ordinal(Feature):
    """A category as its rank by frequency: 0 unknown, 1 missing, 2 the most frequent, 3 the next, ..."""

    transform: ClassVar[str] = "ordinal"
    dtypes: ClassVar[tuple[DType, ...]] = ("string", "int64", "bool")

    max_categories: int = 1_000_000
    """Keep at most this many, the most frequent."""

    def check(self) -> None:
        """Whether the limit is a number of categories."""
        if not _whole(self.max_categories) or not 1 <= self.max_categories <= 10_000_000:
            raise self.wrong("max_categories", "a whole number from 1 to 10,000,000")


@dataclass(frozen=True, kw_only=True)
class Hash(Feature):
    """A string as 0/1 columns: missing, then one of ``buckets`` by MurmurHash3. Nothing is learnt from the data."""

    transform: ClassVar[str] = "hash"
    dtypes: ClassVar[tuple[DType, ...]] = ("string",)

    buckets: int = 32
    seed: int = 0

    def check(self) -> None:
        """Whether there are buckets to fall into."""
        if not _whole(self.buckets) or not 2 <= self.buckets <= MAX_ONE_HOT:
            raise self.wrong("buckets", f"a whole number from 2 to {MAX_ONE_HOT:,}")
        if not _whole(self.seed) or not 0 <= self.seed < 2**31:
            raise self.wrong("seed", "a whole number from 0 to 2**31 - 1")


@dataclass(frozen=True, kw_only=True)
class DateParts(Feature):
    """Parts of a UTC timestamp. A missing one has sin = cos = 0, raw parts of -1 and is no weekend."""

    transform: ClassVar[str] = "date_parts"
    dtypes: ClassVar[tuple[DType, ...]] = ("timestamp",)

    cyclic: tuple[Part, ...] = ("minute_of_day", "day_of_week", "day_of_year")
    """Each becomes two columns: sin and cos of its share of the whole cycle."""
    raw: tuple[Part, ...] = ()
    """Each becomes its whole number. Monday is 0, January and the first day of a month or year are 1; a week is seven
    days counted from January 1st, from 1."""
    is_weekend: bool = False

    def check(self) -> None:
        """Whether there is a part, and each is one."""
        for option in ("cyclic", "raw"):
            value = getattr(self, option)
            if wrong := [p for p in value if p not in get_args(Part)]:
                known = get_args(Part)
                raise self.wrong(option, f"among {', '.join(known)}{nearest(str(wrong[0]), known)}")
            if len(set(value)) != len(value):
                raise self.wrong(option, "distinct")
        if not isinstance(self.is_weekend, bool):
            raise self.wrong("is_weekend", "true or false")
        if not (self.cyclic or self.raw or self.is_weekend):
            raise PlanError(f"column {self.column!r}, date_parts: name a part in cyclic or raw, or is_weekend")


@dataclass(frozen=True, kw_only=True)
class Elapsed(Feature):
    """Days since the earliest timestamp of the training rows, with their fraction; 0 where missing."""

    transform: ClassVar[str] = "elapsed"
    dtypes: ClassVar[tuple[DType, ...]] = ("timestamp",)


TRANSFORMS: dict[str, type[Feature]] = {
    kind.transform: kind
    for kind in (Numeric, PassThrough, MissingIndicator, Bucketize, OneHot, Ordinal, Hash, DateParts, Elapsed)
}


def feature_from_dict(raw: Mapping[str, Any]) -> Feature:
    """The feature of a JSON object; options left out have their defaults.

    Raises:
        PlanError: an unknown transform or option, or a value that does not hold.
    """
    if not isinstance(raw, Mapping):
        raise PlanError(f"a feature must be an object with column and transform, found {raw!r}")
    name, column = raw.get("transform"), raw.get("column")
    kind = TRANSFORMS.get(name) if isinstance(name, str) else None
    if kind is None:
        near = nearest(str(name), TRANSFORMS)
        raise PlanError(f"column {column!r}: transform must be one of {', '.join(TRANSFORMS)}, found {name!r}{near}")
    known = {f.name for f in dataclasses.fields(kind)}
    options = {k: v for k, v in raw.items() if k != "transform"}
    if unknown := sorted(set(options) - known):
        near = nearest(unknown[0], known) or f", its options are {sorted(known - {'column'})}"
        raise PlanError(f"column {column!r}, {name}: it has no option {unknown[0]!r}{near}")
    for option, value in options.items():
        default = getattr(kind, option, None)
        if isinstance(default, tuple):
            if not isinstance(value, list | tuple):
                raise PlanError(f"column {column!r}, {name}: {option} must be a list, found {value!r}")
            options[option] = tuple(value)
    return kind(**{"column": "", **options})
