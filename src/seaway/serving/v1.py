"""KServe's v1 protocol: ``{"instances": [{column: value}]}`` to checked inputs, answers to ``{"predictions": [...]}``.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from numpy.typing import NDArray

from seaway.errors import Violation
from seaway.serving.guard import Guard
from seaway.serving.refusal import Refusal, near, of_contract, shown
from seaway.serving.request import Request, check_rows, load_object
from seaway.serving.served import ServedModel


def read(model: ServedModel, body: bytes, *, max_rows: int) -> Request:
    """The checked request; a column that an instance leaves out is missing there.

    A body with ``predictions`` in place of ``instances``, the answer of another model, is a request too: those of its
    answers that are columns of the contract are taken, the others are left aside.

    Raises:
        Refusal: 400, it is not a request of the protocol or its rows break the contract.
    """
    raw = load_object(body)
    instances = raw.get("instances")
    guards = model.guards
    if type(instances) is not list or set(map(type, instances)) != {dict}:
        instances = _former_answer(raw, guards)
    check_rows(len(instances), max_rows)
    for row, instance in enumerate(instances):
        if not instance.keys() <= guards.keys():
            name = next(k for k in instance if k not in guards)
            raise Refusal(400, f"instance {row}: {shown(name)} must be a column of the contract{near(name, guards)}")
    request = Request(len(instances))
    if broken := feed(model, instances, request):
        raise of_contract(broken)
    return request


def feed(model: ServedModel, instances: list[dict[str, Any]], request: Request) -> list[Violation]:
    """Fill a request with the instances' columns that the contract has; the rules that they break."""
    broken: list[Violation] = []
    fed = model.fed
    for name, guard in model.guards.items():
        if any(name in instance for instance in instances):
            array = guard.check([instance.get(name) for instance in instances], broken)
        else:
            array = guard.absent(len(instances), broken)
        if array is not None and name in fed:
            request.feeds[name] = array
    return broken


def write(model: ServedModel, request: Request, answers: list[NDArray[Any]]) -> bytes:
    """The response: an object with every answer of the model for each instance."""
    names = model.answer_names
    predictions = [dict(zip(names, row, strict=True)) for row in zip(*columns(answers), strict=True)]
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def columns(answers: list[NDArray[Any]]) -> list[Any]:
    """Each answer's rows as values that orjson writes: float32 as short as it is exact."""
    # onnxruntime's int64 is C's long long, a scalar type that orjson does not know
    return [a.tolist() if a.dtype.kind == "i" else a for a in answers]


def _former_answer(raw: dict[str, Any], guards: Mapping[str, Guard]) -> list[dict[str, Any]]:
    """The predictions of another model as instances."""
    instances, predictions = raw.get("instances"), raw.get("predictions")
    if "instances" in raw or type(predictions) is not list or set(map(type, predictions)) != {dict}:
        raise Refusal(
            400, f"a request must have 'instances', a list of objects with a value a column, found {shown(instances)}"
        )
    taken = [{name: prediction[name] for name in prediction if name in guards} for prediction in predictions]
    if not any(taken):
        raise Refusal(
            400,
            "a former answer as a request must have 'predictions' with columns of the contract, found "
            f"{shown(list(predictions[0]))}, none of {shown(list(guards))}",
        )
    return taken
