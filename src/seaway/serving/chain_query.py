"""The query of ``:chain`` and ``:answer``: which answers get which keys, and which rows are asked.

    late=label&probability=probability    the model's answers ``label`` and ``probability`` under these keys
    minutes=                              a key that is null until a later step fills it
    when=probability>=0.3                 only rows whose earlier answer fulfils it are asked

Without any key the model's answers keep their own names. The query of ``:answer`` names the keys that are given, in
order: ``late&probability&minutes``; without one all are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

from seaway.errors import InputError
from seaway.resources.when import RESERVED, When, check_key
from seaway.serving.refusal import Refusal, near, shown

T = TypeVar("T")

MAX_BYTES = 8 * 1024
"""Longer ones are refused, so that what is remembered of them stays small."""
MAX_KEYS = 256


class ChainQuery(NamedTuple):
    """What one step of a chain adds to each row's answer."""

    keys: tuple[tuple[str, int | None], ...]
    """Each key, in order, and the number of the model's answer that it gets; None for null."""
    when: When | None


@lru_cache(maxsize=64)
def chain_query(raw: bytes, answers: tuple[str, ...]) -> ChainQuery:
    """The query of ``:chain`` for a model with these answers.

    Raises:
        Refusal: 400, it is not one.
    """
    keys: dict[str, int | None] = {}
    when: When | None = None
    for key, value in _pairs(raw):
        if key == RESERVED:
            if when is not None:
                raise Refusal(400, f"the query must have one 'when' at most, found a second: {shown(value)}")
            when = _in_words(When.parse, value)
        else:
            _in_words(check_key, key)
            if value and value not in answers:
                raise Refusal(
                    400, f"key {key!r} must be one of the model's answers {list(answers)}, or empty for null, "
                    f"found {shown(value)}{near(value, answers)}"
                )  # fmt: skip
            if key in keys:
                raise Refusal(400, f"the query must give each key once, found {key!r} twice")
            keys[key] = answers.index(value) if value else None
    if not any(index is not None for index in keys.values()):
        own: dict[str, int | None] = {name: index for index, name in enumerate(answers)}
        keys = own | keys
    return ChainQuery(tuple(keys.items()), when)


@lru_cache(maxsize=64)
def answer_query(raw: bytes) -> tuple[str, ...]:
    """The query of ``:answer``: the keys to give, in order; none for all.

    Raises:
        Refusal: 400, it is not one.
    """
    keys = []
    for key, value in _pairs(raw):
        _in_words(check_key, key)
        if value or key in keys:
            found = f"{key}={value}" if value else f"{key} twice"
            raise Refusal(400, f"the query must name keys without a value, each once, found {shown(found)}")
        keys.append(key)
    return tuple(keys)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    if len(raw) > MAX_BYTES:
        raise Refusal(400, f"the query must have at most {MAX_BYTES} bytes, found {len(raw)}")
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_KEYS)
    except ValueError as e:
        raise Refusal(400, f"the query must be UTF-8, percent-encoded, of at most {MAX_KEYS} keys: {e}") from None


def _in_words(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except InputError as e:
        raise Refusal(400, f"the query: {e}") from None
