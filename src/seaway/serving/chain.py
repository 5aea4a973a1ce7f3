"""``:chain`` and ``:answer``: steps of a chain of models, whose answers add up row by row.

A request of ``:chain`` is ``{"instances": [row, ...]}``, from the second step on with ``"predictions": [...]``, the
earlier answers. A row may hold columns of other models; each model takes those of its own contract. The answer is a
request of the next step: the same rows, and the earlier answers with the model's own added. So an InferenceGraph's
router, which can hand on either a request or an answer, chains models as it is. ``:answer`` ends a chain: it gives the
predictions alone.

The query says what a step adds and which rows it asks about: see `chain_query`. Every row is answered by itself, so an
answer does not depend on the rows beside it. A row that is not asked keeps its earlier answers; the step's own keys are
null there if it has none. Numbers, booleans, texts and null go through unchanged; whole numbers beyond 64 bits become
floats, as everywhere in this server.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
from numpy.typing import NDArray

from seaway.serving import v1
from seaway.serving.chain_query import ChainQuery, answer_query, chain_query
from seaway.serving.refusal import Refusal, near, of_contract, shown
from seaway.serving.request import Request, check_rows, load_object
from seaway.serving.served import ServedModel

Rows = list[dict[str, Any]]


class ChainRequest(Request):
    """A step's request; ``rows`` are those that the model is asked about."""

    __slots__ = ("asked", "instances", "keys", "predictions")

    def __init__(self, asked: list[int], instances: Rows, predictions: Rows, query: ChainQuery) -> None:
        super().__init__(len(asked))
        self.asked = asked
        """Positions of those rows among all."""
        self.instances = instances
        self.predictions = predictions
        """Of the earlier steps; one for each instance."""
        self.keys = query.keys


def read(model: ServedModel, body: bytes, *, max_rows: int, query: bytes) -> ChainRequest:
    """The checked request of ``:chain``.

    Raises:
        Refusal: 400, the query or the body is not one, or rows that are asked about break the contract.
    """
    chain = chain_query(query, tuple(model.answer_names))
    raw = load_object(body)
    instances = _objects(raw, "instances", max_rows)
    if raw.get("predictions") is None:
        predictions: Rows = [{}] * len(instances)
    else:
        predictions = _objects(raw, "predictions", max_rows)
        if len(predictions) != len(instances):
            raise Refusal(
                400, f"'predictions' must be as many as 'instances', found {len(predictions)} and {len(instances)}"
            )
    asked = _asked(chain, predictions)
    request = ChainRequest(asked, instances, predictions, chain)
    if not asked:
        return request
    rows = instances if len(asked) == len(instances) else [instances[i] for i in asked]
    for position, row in zip(asked, rows, strict=True):
        if row and row.keys().isdisjoint(model.guards):
            raise Refusal(
                400, f"instance {position}: must hold columns of the contract, found {shown(sorted(row))}"
                f"{near(next(iter(row)), model.guards)}"
            )  # fmt: skip
    broken = v1.feed(model, rows, request)
    if broken:
        raise of_contract([dataclasses.replace(v, row=v.row if v.row is None else asked[v.row]) for v in broken])
    return request


def write(model: ServedModel, request: ChainRequest, answers: list[NDArray[Any]]) -> bytes:
    """The answer of ``:chain``: a request of the next step."""
    predictions = [{**earlier} for earlier in request.predictions]
    columns = v1.columns(answers)
    for key, index in request.keys:
        for row in predictions:
            if index is None or key not in row:
                row[key] = None
        if index is not None and request.asked:
            for position, value in zip(request.asked, columns[index], strict=True):
                predictions[position][key] = value
    return _encoded({"predictions": predictions, "instances": request.instances})


def read_answer(model: ServedModel, body: bytes, *, max_rows: int, query: bytes) -> ChainRequest:
    """The checked request of ``:answer``; the model is not asked about any row.

    Raises:
        Refusal: 400, it is not the answer of a ``:chain``, or a row has not all the keys that the query names.
    """
    keys = answer_query(query)
    predictions = _objects(load_object(body), "predictions", max_rows)
    for row, prediction in enumerate(predictions):
        if not prediction.keys() >= set(keys):
            missing = next(k for k in keys if k not in prediction)
            raise Refusal(400, f"prediction {row} must have the key {missing!r}, found {shown(list(prediction))}")
    if keys:
        predictions = [{key: prediction[key] for key in keys} for prediction in predictions]
    return ChainRequest([], [], predictions, ChainQuery((), None))


def write_answer(model: ServedModel, request: ChainRequest, answers: list[NDArray[Any]]) -> bytes:
    """The answer of ``:answer``: the predictions of the whole chain."""
    return _encoded({"predictions": request.predictions})


def _asked(chain: ChainQuery, predictions: Rows) -> list[int]:
    when = chain.when
    if when is None:
        return list(range(len(predictions)))
    for row, prediction in enumerate(predictions):
        if when.key not in prediction:
            raise Refusal(
                400, f"'when' needs the earlier answer {when.key!r}, prediction {row} has {shown(list(prediction))}"
                f"{near(when.key, prediction)}: a first step has no condition"
            )  # fmt: skip
    return [row for row, prediction in enumerate(predictions) if when.holds(prediction)]


def _objects(raw: dict[str, Any], key: str, max_rows: int) -> Rows:
    """The list of objects under a key of the body."""
    found = raw.get(key)
    if type(found) is not list or set(map(type, found)) != {dict}:
        raise Refusal(400, f"a request must have {key!r}, a list of at least one object, found {shown(found)}")
    check_rows(len(found), max_rows)
    return found


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as e:  # what was read and cannot be written nests too deep
        raise Refusal(400, f"rows and predictions must be objects of plain values: {e}") from None
