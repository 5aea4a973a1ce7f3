"""KServe's v1 protocol: ``{"instances": [{column: value}]}`` to checked inputs, answers to ``{"predictions": [...]}``.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from typing import Any

import orjson
from numpy.typing import NDArray

from seaway.errors import Violation
from seaway.serving.refusal import Refusal, near, of_contract, shown
from seaway.serving.request import Request, load_object
from seaway.serving.served import ServedModel


def read(model: ServedModel, body: bytes, *, max_rows: int) -> Request:
    """The checked request; a column that an instance leaves out is missing there.

    Raises:
        Refusal: 400, it is not a request of the protocol or its rows break the contract.
    """
    instances = load_object(body).get("instances")
    if type(instances) is not list or set(map(type, instances)) != {dict}:
        raise Refusal(
            400, f"a request must have 'instances', a list of objects with a value a column, found {shown(instances)}"
        )
    if len(instances) > max_rows:
        raise Refusal(
            400, f"a request must hold from 1 to {max_rows:,} rows, found {len(instances):,}: send fewer at a time"
        )
    guards, fed = model.guards, model.fed
    for row, instance in enumerate(instances):
        if not instance.keys() <= guards.keys():
            name = next(k for k in instance if k not in guards)
            raise Refusal(400, f"instance {row}: {shown(name)} must be a column of the contract{near(name, guards)}")
    request = Request(len(instances))
    broken: list[Violation] = []
    for name, guard in guards.items():
        if any(name in instance for instance in instances):
            array = guard.check([instance.get(name) for instance in instances], broken)
        else:
            array = guard.absent(len(instances), broken)
        if array is not None and name in fed:
            request.feeds[name] = array
    if broken:
        raise of_contract(broken)
    return request


def write(model: ServedModel, request: Request, answers: list[NDArray[Any]]) -> bytes:
    """The response: an object with every answer of the model for each instance."""
    names = model.answer_names
    # onnxruntime's int64 is C's long long, a scalar type that orjson does not know
    columns = [a.tolist() if a.dtype.kind == "i" else a for a in answers]
    predictions = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)
