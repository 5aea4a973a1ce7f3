"""mapPredictionsToInstances: one model's answer as the next one's request, byte for byte as KServe's router writes it.

In: ``{"predictions": [...], ...}``. Out: ``{"instances": [...]}`` with all else dropped, numbers as float64, keys in
order and ``<``, ``>`` and ``&`` escaped, as Go's encoding/json does. Without predictions the body stays as it is.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from seaway.errors import InputError

_NESTING = 500
_ESCAPED = re.compile('[\\x00-\\x1f"\\\\<>&\\u2028\\u2029]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def to_instances(body: bytes) -> bytes:
    """The next model's request.

    Raises:
        InputError: the body is no JSON object, or its predictions are no list.
    """
    try:
        document = json.loads(body.decode("utf-8", "replace"), parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError) as e:
        raise InputError(f"mapPredictionsToInstances needs a JSON object, found none: {e}") from None
    if document is None:
        return body
    if not isinstance(document, dict):
        raise InputError(f"mapPredictionsToInstances needs a JSON object, found {_kind(document)}")
    # Keys are found whatever their case, and of several the last one counts.
    found = [value for key, value in document.items() if key.lower() == "predictions"]
    predictions = found[-1] if found else None
    if not isinstance(predictions, list | None):
        raise InputError(f"mapPredictionsToInstances needs predictions that are a list, found {_kind(predictions)}")
    if not predictions:
        return body
    out: list[str] = []
    _write({"instances": predictions}, out, 0)
    return "".join(out).encode("utf-8", "replace")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Any) -> str:
    return {str: "a text", float: "a number", bool: "a boolean", dict: "an object", list: "a list"}[type(value)]


def _write(value: Any, out: list[str], depth: int) -> None:
    if depth > _NESTING:
        raise InputError(f"mapPredictionsToInstances takes predictions that nest at most {_NESTING} deep")
    if value is None or isinstance(value, bool):
        out.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, str):
        out.append(_text(value))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            out.append("," if number else "[")
            _write(one, out, depth + 1)
        out.append("]" if value else "[]")
    else:
        for number, key in enumerate(sorted(value)):
            out.append(("," if number else "{") + _text(key) + ":")
            _write(value[key], out, depth + 1)
        out.append("}" if value else "{}")


def _text(value: str) -> str:
    plain = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return '"' + _ESCAPED.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), plain) + '"'


def _number(value: float) -> str:
    """The shortest text that means the same float64; an exponent below 1e-6 and from 1e21 on."""
    if not math.isfinite(value):
        raise InputError(f"mapPredictionsToInstances takes numbers of float64, found {value}")
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}"
