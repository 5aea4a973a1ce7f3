"""Does a graph answer as its services do? Ask it with real rows, ask the services by hand, compare row by row.

In: a chain or a split, its services' URLs, the graph's URL and rows. Out: what was seen, or the differences in words.
The reference is one row a request, each service asked through its own ``:predict`` and conditions decided here; the
graph must answer the same for single rows and for all rows in one request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError, LaunchError
from seaway.launch.graph_services import Row, Service, predictions
from seaway.observe import logs
from seaway.resources.chain import Chain
from seaway.resources.graph_form import Split

ROWS = 100
"""Of the sample that are asked about in one request."""
SINGLE = 12
"""Of these, how many are asked about one by one, of every way through the chain some."""
TOLERANCE = 1e-4
"""Of a number: absolute up to 1, relative beyond."""
PATIENCE_S = 30.0
"""How long a graph may answer otherwise: pods of what was before may still be ending."""
_SHOWN = 3
_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the services answer by hand for one row."""

    row: Row
    answers: tuple[dict[str, Any], ...]
    """The answers that are right: one of a chain, one a service of a split."""
    asked: tuple[int, ...]
    """Numbers of a chain's steps that are asked about this row."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check saw."""

    rows: int
    """In one request."""
    single: int
    """Of these, asked one by one too."""
    asked: tuple[int, ...]
    """Of the rows, how many each step of a chain is asked about."""
    example: tuple[Row, dict[str, Any]]
    """A row and the graph's answer."""


def check(form: Chain | Split, services: Mapping[str, Service], url: str, rows: Sequence[Row]) -> Checked:
    """Compare; a graph that was just replaced is given a while.

    Raises:
        LaunchError: the graph does not answer as its services do, or these refuse every row.
    """
    ends = time.monotonic() + PATIENCE_S
    while True:
        expected = by_hand(form, services, rows)
        try:
            single = one_of_each(expected, SINGLE)
            packed = predictions(url, {"instances": [e.row for e in expected]}, len(expected))
            singles = [predictions(url, {"instances": [e.row]}, 1)[0] for e in single]
            wrong = [w for e, got in zip(expected, packed, strict=True) if (w := difference(e, got))]
            wrong += [f"asked alone: {w}" for e, got in zip(single, singles, strict=True) if (w := difference(e, got))]
            why = f"{len(wrong)} answers differ: {'; '.join(wrong[:_SHOWN])}" if wrong else ""
        except (InputError, LaunchError) as e:
            why = str(e)
        if not why:
            break
        if time.monotonic() > ends:
            raise LaunchError(f"the graph at {url} must answer as its services do one after the other: {why}")
        time.sleep(0.5)
    steps = len(form.steps) if isinstance(form, Chain) else 0
    asked = tuple(sum(number in e.asked for e in expected) for number in range(steps))
    _tell(form, len(expected), len(single), asked)
    return Checked(rows=len(expected), single=len(single), asked=asked, example=(single[0].row, singles[0]))


def by_hand(form: Chain | Split, services: Mapping[str, Service], rows: Sequence[Row]) -> list[Expected]:
    """What the services answer; rows that one of them refuses, or that are on a condition's line, are left out.

    Raises:
        LaunchError: no row is left.
    """
    found, refused, last = [], 0, ""
    for row in rows:
        try:
            expected = _chained(form, services, row) if isinstance(form, Chain) else _split(form, services, row)
        except InputError as e:
            refused, last = refused + 1, str(e)
        else:
            if expected is not None:
                found.append(expected)
    if refused:
        logs.info(_log, f"{refused} of {len(rows)} rows of the sample break a contract and are left out", last=last)
    if not found:
        raise LaunchError(f"the sample must hold rows that the services answer, found none of {len(rows)}: {last}")
    return found


def one_of_each(expected: Sequence[Expected], n: int) -> list[Expected]:
    """Up to ``n`` of the rows, in turn one of each way through the chain."""
    ways: dict[tuple[int, ...], list[Expected]] = {}
    for one in expected:
        ways.setdefault(one.asked, []).append(one)
    longest = max(map(len, ways.values()), default=0)
    return [way[i] for i in range(longest) for way in ways.values() if i < len(way)][:n]


def difference(expected: Expected, got: Mapping[str, Any]) -> str:
    """How the graph's answer for a row differs from each that is right; empty if it is one of them."""
    said = [_difference(right, got) for right in expected.answers]
    return "" if "" in said else " or ".join(said)


def _chained(chain: Chain, services: Mapping[str, Service], row: Row) -> Expected | None:
    answer: dict[str, Any] = dict.fromkeys(chain.keys)
    asked = []
    for number, one in enumerate(chain.steps):
        if one.when is not None:
            if one.when.on_the_line(answer, TOLERANCE):
                return None
            if not one.when.holds(answer):
                continue
        asked.append(number)
        own = services[one.service].predict(row)
        answer |= {key: own[name] for key, name in one.answers.items()}
    return Expected(row=row, answers=(answer,), asked=tuple(asked))


def _split(split: Split, services: Mapping[str, Service], row: Row) -> Expected:
    # a split hands rows on as they are, and a model refuses columns that it does not know
    shared = {k: v for k, v in row.items() if all(k in services[name].inputs for name in split.services)}
    answers = tuple(services[name].predict(shared) for name in split.services if split.weights[name])
    return Expected(row=shared, answers=answers, asked=())


def _difference(right: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    if list(right) != list(got):
        return f"keys {list(got)} where the services have {list(right)}"
    return ", ".join(
        f"{k}: {got[k]!r} where the services say {right[k]!r}" for k in right if not _same(right[k], got[k])
    )


def _same(right: Any, got: Any) -> bool:
    if isinstance(right, list) and isinstance(got, list):
        return len(right) == len(got) and all(map(_same, right, got))
    if type(right) in (int, float) and type(got) in (int, float):
        return bool(abs(right - got) <= TOLERANCE * max(1.0, abs(right)))
    return type(right) is type(got) and bool(right == got)


def _tell(form: Chain | Split, rows: int, single: int, asked: Sequence[int]) -> None:
    logs.info(_log, f"the graph answers {rows} rows as its services do, {single} of them also one by one")
    if not isinstance(form, Chain):
        return
    for one, count in zip(form.steps, asked, strict=True):
        if one.when is None:
            continue
        logs.info(_log, f"{one.service} is asked about {count} of {rows} rows: {one.when}")
        if count in (0, rows):
            side = "no row" if count == 0 else "every row"
            _log.warning(f"{side} of the sample fulfils {one.when}: the other side of this condition was not seen")
