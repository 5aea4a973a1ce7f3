"""Label and field selectors, as queries write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from seaway.local.api.status import ApiError, Object

Matches = Callable[[Object], bool]

_SET = re.compile(r"^([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(r"^([^\s!=,()]+)\s*(==|!=|=)\s*([^\s!=,()]*)$")
_EXISTS = re.compile(r"^(!?)\s*([^\s!=,()]+)$")


def selector(label_text: str, field_text: str, selectable: Collection[str] = ()) -> Matches:
    """Whether an object satisfies both selectors; an empty one is satisfied by all.

    Args:
        label_text: for instance ``app=a,tier in (b,c)``.
        field_text: for instance ``metadata.name=a``.
        selectable: the kind's fields that a field selector may name, beside name and namespace; others are 400.
    """
    terms = [_label(term) for term in _split(label_text)]
    terms += [_field(term, selectable) for term in _split(field_text)]
    return lambda found: all(term(found) for term in terms)


def match_labels(wanted: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """A LabelSelector object (matchLabels, matchExpressions) against labels."""
    equal = wanted.get("matchLabels") or {}
    if not isinstance(equal, Mapping) or any(labels.get(key) != value for key, value in equal.items()):
        return False
    expressions = wanted.get("matchExpressions") or []
    if not isinstance(expressions, list):
        return False
    for one in expressions:
        key, operator, values = one["key"], one["operator"], one.get("values") or []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(operator, False)
        if not holds:
            return False
    return True


def _split(text: str) -> list[str]:
    """Terms between commas that are not in parentheses."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def _label(term: str) -> Matches:
    if found := _SET.match(term):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        return lambda item: (_labels(item).get(key) in values) == (operator == "in")
    if found := _EQUAL.match(term):
        key, operator, value = found.groups()
        return lambda item: (_labels(item).get(key) == value) == (operator != "!=")
    if found := _EXISTS.match(term):
        absent, key = found.groups()
        return lambda item: (key in _labels(item)) != bool(absent)
    raise ApiError(400, f"unable to parse requirement: found {term!r}, expected: key, !key, key=value or key in (a,b)")


def _field(term: str, selectable: Collection[str]) -> Matches:
    found = _EQUAL.match(term) or re.match(r"^([^\s!=,]+)\s*(==|!=|=)\s*(.*)$", term)
    if not found:
        raise ApiError(400, f"invalid field selector: {term!r}; expected path=value or path!=value")
    path, operator, value = found.groups()
    if path not in ("metadata.name", "metadata.namespace") and path not in selectable:
        raise ApiError(400, f"field label not supported: {path}")
    return lambda item: (_at(item, path) == value) == (operator != "!=")


def _labels(item: Object) -> Mapping[str, str]:
    return item.get("metadata", {}).get("labels") or {}


def _at(item: Object, path: str) -> str:
    found: object = item
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found)
