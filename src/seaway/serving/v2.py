"""The Open Inference Protocol, version 2, in JSON: a request's bytes to checked inputs, answers to a response's bytes.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from seaway.errors import Violation
from seaway.serving.guard import Guard
from seaway.serving.refusal import Refusal, near, of_contract, shown
from seaway.serving.request import Request, load_object
from seaway.serving.served import ServedModel

_INPUT = "an input must be an object with 'name', 'shape', 'datatype' and 'data'"


def read(model: ServedModel, body: bytes, *, max_rows: int) -> Request:
    """The checked request.

    A body with the ``outputs`` of another model in place of ``inputs``, its answer, is a request too: those that are
    columns of the contract are taken, the others are left aside.

    Raises:
        Refusal: 400, it is not a request of the protocol or its rows break the contract.
    """
    raw = load_object(body)
    inputs = raw.get("inputs")
    if type(inputs) is not list or not inputs:
        raw, inputs = _former_answer(raw, model.guards)
    request = Request(_rows(inputs[0], max_rows))
    n = request.rows
    flat, upright = [n], [n, 1]
    guards, fed, feeds = model.guards, model.fed, request.feeds
    broken: list[Violation] = []
    given: set[str] = set()
    for item in inputs:
        try:
            name, shape, datatype, data = item["name"], item["shape"], item["datatype"], item["data"]
            guard = guards[name]
        except (KeyError, TypeError):
            raise _wrong_input(item, guards) from None
        given.add(name)
        if shape != flat and shape != upright:
            raise Refusal(
                400, f"input {name!r}: the shape must be [{n}] or [{n}, 1], as the first's, found {shown(shape)}"
            )
        if type(data) is not list or len(data) != n:
            raise Refusal(
                400, f"input {name!r}: data must be a list of {n} values, as the shape says, found {_size(data)}"
            )
        if len(shape) == 2 and type(data[0]) is list:
            data = _flattened(name, data)
        if type(datatype) is not str or datatype not in guard.accepted:
            rule = f"sent as {' or '.join(sorted(guard.accepted))}"
            broken.append(Violation(column=name, rule=rule, found=f"datatype {shown(datatype)}", row=0, rows=n))
            continue
        array = guard.check(data, broken)
        if array is not None and name in fed:
            feeds[name] = array
    if len(given) != len(inputs):
        names = [item["name"] for item in inputs]
        raise Refusal(
            400, f"each input must be given once, found twice: {sorted({x for x in names if names.count(x) > 1})}"
        )
    if len(given) != len(guards):
        for name, guard in guards.items():
            if name not in given:
                array = guard.absent(n, broken)
                if array is not None and name in fed:
                    feeds[name] = array
    if broken:
        raise of_contract(broken)
    _options(model, raw, request)
    return request


def write(model: ServedModel, request: Request, answers: list[NDArray[Any]]) -> bytes:
    """The response; arrays are flat, in row-major order."""
    out: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.identity is not None:
        out["id"] = request.identity
    datatypes = model.datatypes
    names = request.wanted or model.answer_names
    out["outputs"] = [
        {"name": name, "datatype": datatypes[name], "shape": a.shape, "data": _data(a)}
        for name, a in zip(names, answers, strict=True)
    ]
    return orjson.dumps(out, option=orjson.OPT_SERIALIZE_NUMPY)


def _former_answer(raw: dict[str, Any], guards: dict[str, Guard]) -> tuple[dict[str, Any], list[Any]]:
    """The outputs of another model as inputs, and the body without them."""
    inputs, outputs = raw.get("inputs"), raw.get("outputs")
    if "inputs" in raw or type(outputs) is not list or not any(type(o) is dict and "data" in o for o in outputs):
        raise Refusal(400, f"a request must have 'inputs', a list of at least one input, found {shown(inputs)}")
    names = [o.get("name") if type(o) is dict else o for o in outputs]
    taken = [o for o, name in zip(outputs, names, strict=True) if type(name) is str and name in guards]
    if not taken:
        raise Refusal(
            400,
            "a former answer as a request must have 'outputs' that are columns of the contract, found "
            f"{shown(names)}, none of {shown(list(guards))}",
        )
    return {k: v for k, v in raw.items() if k != "outputs"}, taken


def _data(array: NDArray[Any]) -> Any:
    if array.dtype == np.object_:
        return array.ravel().tolist()
    return array if array.ndim == 1 else array.ravel()


def _rows(item: Any, max_rows: int) -> int:
    shape = item.get("shape") if type(item) is dict else None
    if type(shape) is not list or not 1 <= len(shape) <= 2 or type(shape[0]) is not int:
        raise Refusal(400, f"{_INPUT}; the shape must be [rows] or [rows, 1], found {shown(shape)}")
    n = shape[0]
    if not 1 <= n <= max_rows:
        raise Refusal(
            400, f"a request must hold from 1 to {max_rows:,} rows, found a shape of {n}: send fewer at a time"
        )
    return n


def _wrong_input(item: Any, guards: dict[str, Guard]) -> Refusal:
    if type(item) is not dict or not item.keys() >= {"name", "shape", "datatype", "data"}:
        return Refusal(400, f"{_INPUT}, found {shown(item)}")
    name = item["name"]
    return Refusal(400, f"an input must be a column of the contract, found {shown(name)}{near(name, guards)}")


def _flattened(name: str, data: list[Any]) -> list[Any]:
    if any(type(row) is not list or len(row) != 1 for row in data):
        raise Refusal(400, f"input {name!r}: nested data must have one value a row, found {shown(data)}")
    return [row[0] for row in data]


def _size(data: Any) -> str:
    return f"{len(data)} values" if type(data) is list else shown(data)


def _options(model: ServedModel, raw: dict[str, Any], request: Request) -> None:
    identity = raw.get("id")
    if identity is not None and type(identity) is not str:
        raise Refusal(400, f"the id must be a string, found {shown(identity)}")
    request.identity = identity
    for place in (raw, *(raw.get("outputs") or ())) if type(raw.get("outputs") or []) is list else (raw,):
        parameters = place.get("parameters") if type(place) is dict else None
        if parameters is not None and type(parameters) is not dict:
            raise Refusal(400, f"parameters must be an object, found {shown(parameters)}")
        if parameters and (parameters.get("binary_data") or parameters.get("binary_data_output")):
            raise Refusal(400, "answers are JSON only: leave out the parameter binary_data")
    wanted = raw.get("outputs")
    if wanted is None or wanted == []:
        return
    if type(wanted) is not list or any(type(o) is not dict or type(o.get("name")) is not str for o in wanted):
        raise Refusal(400, f"outputs must be a list of objects with a 'name', found {shown(wanted)}")
    request.wanted = [o["name"] for o in wanted]
    for name in request.wanted:
        if name not in model.datatypes:
            raise Refusal(
                400, f"an output must be one of {model.answer_names}, found {name!r}{near(name, model.answer_names)}"
            )
