"""How each type of node goes through its steps: the graph's semantics, apart from any transport.

In: a graph, the request's body, and a function that asks a URL. Out: a status and a body, as KServe's router gives
them (source: cmd/router of KServe 0.21). A new type of node is one function here and one row of NODES.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.graphs.conditions import Condition, read_document
from seaway.graphs.spec import RESPONSE, ROOT, Graph, Node, Step, read
from seaway.serving.router.instances import to_instances

Answer = tuple[int, bytes]
"""Status and body."""
Headers = list[tuple[bytes, bytes]]
Call = Callable[[str, bytes, Headers], Awaitable[Answer]]
"""Asks a URL by POST with a body and headers; raises GraphError when there is no answer."""
Told = Callable[[str, Step, float, int], None]
"""Told of each step that ended: node, step, seconds, status (0 for none)."""


class GraphError(Exception):
    """Why the graph has no answer.

    Args:
        cause: in words.
        status: of the response; nested in another node it is 500 whatever it was.
    """

    def __init__(self, cause: str, status: int = 500) -> None:
        self.cause, self.status = cause, status
        super().__init__(cause)


@dataclass(frozen=True)
class Plan:
    """A graph with its conditions read."""

    graph: Graph
    conditions: Mapping[str, Condition]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Plan:
        """A plan from an InferenceGraph's spec; raises InputError when it or a condition cannot be read."""
        graph = read(spec)
        texts = {step.condition for node in graph.nodes.values() for step in node.steps if step.condition}
        return cls(graph, {text: Condition(text) for text in texts})


@dataclass(kw_only=True, slots=True)
class Walk:
    """One request's way through a graph."""

    plan: Plan
    call: Call
    headers: Headers = field(default_factory=list)
    """Of the request, to be propagated to every step."""
    draw: Callable[[], int] = lambda: secrets.randbelow(100)
    """0 to 99, for Splitters."""
    told: Told | None = None

    async def answer(self, body: bytes) -> Answer:
        """The graph's answer; raises GraphError when it has none."""
        return await self.node(ROOT, body)

    async def node(self, name: str, body: bytes) -> Answer:
        """A node's answer."""
        node = self.plan.graph.nodes.get(name, Node())
        take = NODES.get(node.router_type)
        if take is None:
            raise GraphError(f"invalid route type: {node.router_type}")
        return await take(self, name, node, body)

    async def step(self, node: str, step: Step, body: bytes) -> Answer:
        """A step's answer: a node's, or that of its URL, which is sent a POST as it is written."""
        start, status = time.perf_counter(), 0
        try:
            if step.node:
                answer = await self.node(step.node, body)
            else:
                answer = await self.call(step.url, body, self.headers)
            status = answer[0]
            return answer
        except GraphError as e:
            raise GraphError(e.cause) from None
        finally:
            if self.told is not None:
                self.told(node, step, time.perf_counter() - start, status)

    def holds(self, condition: str, body: bytes) -> bool:
        """Whether a condition holds for an answer; GraphError when that is not JSON."""
        try:
            return self.plan.conditions[condition].holds(read_document(body))
        except InputError:
            raise GraphError("invalid response") from None


async def sequence(walk: Walk, name: str, node: Node, body: bytes) -> Answer:
    """One step after the other; the last answer is the node's.

    A condition asks the answer before, of whatever status; where it does not hold, that answer is the node's, with
    status 200.
    """
    status, last = 500, b""
    for number, step in enumerate(node.steps):
        given = last if step.data == RESPONSE and number > 0 else body
        if step.condition and not walk.holds(step.condition, last):
            return 200, last
        if step.maps_predictions:
            given = _instances(given)
        status, last = await walk.step(name, step, given)
        if step.dependency == "Hard" and not 200 <= status <= 299:
            return status, last
    return status, last


async def splitter(walk: Walk, name: str, node: Node, body: bytes) -> Answer:
    """One step by lot, each as often as its weight of 100 says."""
    point, end = walk.draw(), 0
    for step in node.steps:
        end += step.weight or 0
        if point < end:
            return await walk.step(name, step, body)
    raise GraphError("no route was selected by the splitter")


def _instances(body: bytes) -> bytes:
    try:
        return to_instances(body)
    except InputError as e:
        raise GraphError(str(e)) from None


NODES: dict[str, Callable[[Walk, str, Node, bytes], Awaitable[Answer]]] = {
    "Sequence": sequence,
    "Splitter": splitter,
}
"""By routerType, those that run here."""
