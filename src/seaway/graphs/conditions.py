"""Whether a condition holds for an answer: gjson's "exists", not truth. A key with ``false`` or ``null`` exists.

In: the bytes of a JSON document and a condition as `seaway.graphs.paths` reads it. Out: True or False, the same as
gjson's, whose rules are kept where they surprise: an object's member is looked for among all keys that fit until what
follows is found; of a query only the first element that fits goes on; what follows ``#`` or ``#(...)#`` makes a list,
perhaps an empty one, which exists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from seaway.errors import InputError
from seaway.graphs.paths import Component, Each, Key, Path, Query, parse


class Members(tuple[tuple[str, Any], ...]):
    """An object's keys and values in order, keys that occur twice included."""

    __slots__ = ()


class _Missing:
    """What is not there; None is a JSON null."""


MISSING: Final = _Missing()
_decode = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_int=float,
    parse_constant=lambda name: (_ for _ in ()).throw(ValueError(f"{name} is not JSON")),
).decode


def read_document(body: bytes) -> Any:
    """A JSON document: objects as Members, numbers as float.

    Raises:
        InputError: the body is no JSON document, or nests too deeply to be read.
    """
    try:
        # Bytes that are no UTF-8 are let through inside of texts, as gjson does.
        return _decode(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as e:
        raise InputError(f"the body must be JSON to be asked for a condition: {e}") from None


class Condition:
    """A condition of a step.

    Args:
        text: as the graph writes it.

    Raises:
        InputError: the text is outside of the part of gjson's language that graphs may use.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.path: Path = parse(text)

    def holds(self, document: Any) -> bool:
        """Whether it exists in a document of `read_document`."""
        value = [document] if self.path.listed else document
        return not isinstance(_get(value, self.path.components, 0), _Missing)

    @property
    def always_in_lists(self) -> bool:
        """Whether it holds as soon as a list is where it looks for one, even an empty one."""
        return any(isinstance(one, Each) or (isinstance(one, Query) and one.every) for one in self.path.components) or (
            not self.path.components
        )

    @property
    def only_exists(self) -> bool:
        """Whether it compares nothing, so that ``false`` and ``null`` hold as well."""
        return not any(isinstance(one, Query) and _compares(one) for one in self.path.components)


def _compares(query: Query) -> bool:
    return bool(query.operator) or any(isinstance(one, Query) and _compares(one) for one in query.path)


def _get(value: Any, path: tuple[Component, ...], at: int) -> Any:
    """What is found from component ``at`` on, or MISSING."""
    if at == len(path):
        return value
    one = path[at]
    if isinstance(value, Members):
        return _member(value, one, path, at)
    if not isinstance(value, list):
        return MISSING
    if isinstance(one, Key):
        return _get(value[one.index], path, at + 1) if one.index is not None and one.index < len(value) else MISSING
    if isinstance(one, Each):
        return _each(value, path, at + 1) if at + 1 < len(path) else float(len(value))
    if one.every:
        return _each([element for element in value if _fits(element, one)], path, at + 1)
    first = next((element for element in value if _fits(element, one)), MISSING)
    return MISSING if first is MISSING else _get(first, path, at + 1)


def _member(members: Members, one: Component, path: tuple[Component, ...], at: int) -> Any:
    """Of the members whose key fits, the first in which the rest of the path is found."""
    if isinstance(one, Query):
        return MISSING
    glob, name = (one.glob, one.name) if isinstance(one, Key) else (None, "#")
    for key, value in members:
        if glob.matches(key) if glob is not None else key == name:
            found = _get(value, path, at + 1)
            if found is not MISSING:
                return found
    return MISSING


def _each(elements: list[Any], path: tuple[Component, ...], at: int) -> list[Any]:
    found = (_get(element, path, at) for element in elements)
    return [one for one in found if one is not MISSING]


def _fits(element: Any, query: Query) -> bool:
    # Without a path an element is compared itself, but an object by its member without a name.
    path = query.path or ((Key(""),) if isinstance(element, Members) else ())
    value = _get(element, path, 0)
    if value is MISSING:
        return False
    operand = query.operand
    if operand is None:
        return True
    if isinstance(value, bool):
        return _BOOLS[value].get(query.operator, _never)(operand.text)
    if isinstance(value, float):
        compare = _NUMBERS.get(query.operator)
        return compare is not None and compare(value, operand.number)
    if isinstance(value, str):
        if operand.glob is not None:
            return operand.glob.matches(value) == (query.operator == "%")
        return _TEXTS[query.operator](value, operand.text)
    # Nothing compares with null, an object or a list, not even !=.
    return False


def _never(text: str) -> bool:
    return False


_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_BOOLS: dict[bool, dict[str, Callable[[str], bool]]] = {
    True: {
        "==": lambda text: text == "true",
        "!=": lambda text: text != "true",
        ">": lambda text: text == "false",
        ">=": lambda text: True,
    },
    False: {
        "==": lambda text: text == "false",
        "!=": lambda text: text != "false",
        "<": lambda text: text == "true",
        "<=": lambda text: True,
    },
}
"""What gjson makes of true and false: right for == and !=, and for what is left out it never holds."""
