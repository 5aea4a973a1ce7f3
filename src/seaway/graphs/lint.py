"""What is wrong with a graph before anything is applied, and what will surprise in one that is right.

In: the spec of an InferenceGraph. Out: findings in words. An ``error`` is what KServe refuses or what makes its router
fail or answer otherwise than written; a ``warning`` is a rule of the router that people do not expect.
Source of the rules: pkg/apis/serving/v1alpha1/inference_graph_validation.go and cmd/router of KServe 0.21.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from seaway.errors import InputError
from seaway.graphs.conditions import Condition
from seaway.graphs.spec import RESPONSE, ROOT, ROUTER_TYPES, Graph, Node, Step, read

DEPTH_LIMIT = 50
"""Nodes in one another."""
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True)
class Finding:
    """One thing to know of a graph."""

    severity: Literal["error", "warning"]
    text: str
    """Where, what must hold, what was found and what to do."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


def lint(
    spec: Mapping[str, Any], *, router_types: Sequence[str] = ROUTER_TYPES, resolved: bool = False
) -> list[Finding]:
    """Everything found in a graph's spec, errors first.

    Args:
        spec: of the InferenceGraph.
        router_types: those that can be run where the graph goes.
        resolved: the URLs of services stand beside their names already, as a router gets them.
    """
    try:
        graph = read(spec)
    except InputError as e:
        return [Finding("error", str(e))]
    found = [*_nodes(graph), *_ways(graph)]
    for name, node in graph.nodes.items():
        found += _node(name, node, router_types)
        for number, step in enumerate(node.steps):
            where = (
                f"step {number} ({step.name!r}) of node {name!r}" if step.name else f"step {number} of node {name!r}"
            )
            found += _target(where, step, resolved=resolved)
            found += _sequence_step(where, number, step, node) if node.router_type == "Sequence" else _other(
                where, step, node
            )  # fmt: skip
            if step.condition:
                found += _condition(where, step.condition)
    found += _timeouts(graph)
    return sorted(found, key=lambda one: one.severity)


def errors(findings: Sequence[Finding]) -> list[str]:
    """The texts of the errors among findings."""
    return [one.text for one in findings if one.severity == "error"]


def _error(text: str) -> Finding:
    return Finding("error", text)


def _warning(text: str) -> Finding:
    return Finding("warning", text)


def _nodes(graph: Graph) -> Iterator[Finding]:
    if ROOT not in graph.nodes:
        yield _error(f"a graph must have a node named {ROOT!r}, found {sorted(graph.nodes)}")
        return
    reached, waiting = {ROOT}, [ROOT]
    while waiting:
        targets = {step.node for step in graph.nodes[waiting.pop()].steps if step.node in graph.nodes} - reached
        reached |= targets
        waiting += sorted(targets)
    for name in graph.nodes:
        if name not in reached:
            yield _warning(f"node {name!r} is reached from no step: leave it out or name it in a nodeName")


def _ways(graph: Graph) -> Iterator[Finding]:
    """Names of nodes that are not there, cycles, and ways too deep."""
    for name, node in graph.nodes.items():
        for number, step in enumerate(node.steps):
            if step.node and step.node not in graph.nodes:
                yield _error(
                    f"step {number} of node {name!r}: nodeName must be one of the nodes {sorted(graph.nodes)}, "
                    f"found {step.node!r}"
                )
    depth: dict[str, int] = {}
    for start in graph.nodes:
        cycle = _explore(graph, start, depth)
        if cycle:
            yield _error(
                f"nodes must not lead back to themselves, found {' -> '.join(cycle)}: KServe's router would call "
                "itself until it dies"
            )
            return
    if max(depth.values(), default=0) > DEPTH_LIMIT:
        yield _error(f"at most {DEPTH_LIMIT} nodes may lead into one another, found {max(depth.values())}")


def _explore(graph: Graph, start: str, depth: dict[str, int]) -> list[str]:
    """Note the depth of every node below ``start``; returns a cycle if there is one. Not recursive: graphs are deep."""
    path: dict[str, None] = {}
    waiting = [(start, False)]
    while waiting:
        name, left = waiting.pop()
        targets = [step.node for step in graph.nodes[name].steps if step.node in graph.nodes]
        if left:
            path.popitem()
            depth[name] = 1 + max((depth[one] for one in targets), default=0)
        elif name in path:
            names = list(path)
            return [*names[names.index(name) :], name]
        elif name not in depth:
            path[name] = None
            waiting += [(name, True), *((one, False) for one in targets)]
    return []


def _node(name: str, node: Node, router_types: Sequence[str]) -> Iterator[Finding]:
    if node.router_type not in ROUTER_TYPES:
        known = ", ".join(ROUTER_TYPES)
        yield _error(f"node {name!r}: routerType must be one of {known}, found {node.router_type!r}")
    elif node.router_type not in router_types:
        yield _error(
            f"node {name!r}: the laptop runs nodes of routerType {' and '.join(router_types)} so far, found "
            f"{node.router_type}; use a cluster for this graph"
        )
    if not node.steps:
        fails = node.router_type in ("Sequence", "Splitter", "Switch")
        text = f"node {name!r}: a {node.router_type or 'node'} must have steps, found none"
        yield _error(f"{text}: KServe's router answers such a request with an error") if fails else _warning(text)
    names = Counter(step.name for step in node.steps if step.name)
    for twice in sorted(one for one, count in names.items() if count > 1):
        yield _error(f"node {name!r}: names of steps must be distinct, found {twice!r} more than once")
    if node.router_type == "Splitter":
        yield from _weights(name, node)


def _weights(name: str, node: Node) -> Iterator[Finding]:
    weights = [step.weight for step in node.steps]
    for number, weight in enumerate(weights):
        if weight is None or weight < 0:
            found = "none" if weight is None else weight
            yield _error(f"step {number} of node {name!r}: a Splitter's weight must be 0 to 100, found {found}")
        elif weight == 0:
            yield _warning(f"step {number} of node {name!r}: with weight 0 it is never chosen")
    total = sum(weight or 0 for weight in weights)
    if weights and total != 100:
        yield _error(f"node {name!r}: the weights of a Splitter must add up to 100, found {total}")


def _target(where: str, step: Step, *, resolved: bool) -> Iterator[Finding]:
    given = {"nodeName": step.node, "serviceName": step.service, "serviceUrl": step.url}
    named = [field for field, value in given.items() if value]
    if len(named) != 1 and not (resolved and named == ["serviceName", "serviceUrl"]):
        found = " and ".join(named) or "none"
        yield _error(f"{where}: it must name one of nodeName, serviceName and serviceUrl, found {found}")
    if step.service and (len(step.service) > 63 or not _SERVICE.fullmatch(step.service)):
        yield _error(f"{where}: serviceName must be the name of an InferenceService, found {step.service!r}")
    if step.url:
        why = _bad_url(step.url)
        if why:
            yield _error(f"{where}: serviceUrl must be an http or https URL with a host, {why}")


def _bad_url(url: str) -> str:
    if any(one <= " " or one == "\x7f" for one in url):
        return f"without spaces and control characters, found {url!r}"
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as e:
        return f"found {url!r}: {e}"
    return "" if ok else f"found {url!r}"


def _sequence_step(where: str, number: int, step: Step, node: Node) -> Iterator[Finding]:
    if step.dependency not in ("", "Soft", "Hard"):
        yield _error(f"{where}: dependency must be Soft or Hard, found {step.dependency!r}")
    if step.weight is not None:
        yield _warning(f"{where}: weight is read in a Splitter only")
    if step.condition and number == 0:
        yield _error(
            f"{where}: a condition asks the answer of the step before and the first step has none, so that every "
            "request fails with 500: give the condition to the next step or use a Switch"
        )
    if step.data == RESPONSE and number == 0:
        yield _warning(f"{where}: before the first step there is no answer, so that it gets the node's own input")
    elif step.data not in ("", "$request", RESPONSE):
        yield _warning(
            f"{where}: data must be {RESPONSE!r} to get the answer of the step before, found {step.data!r}: "
            "that is not read as a path, and the step gets the node's own input"
        )
    if step.dependency == "Soft":
        yield _warning(
            f"{where}: Soft goes on after an answer that is not 2xx, but a service that cannot be reached or times "
            "out fails the whole graph with 500 all the same"
        )
    following = node.steps[number + 1] if number + 1 < len(node.steps) else None
    if following and step.dependency != "Hard" and following.condition:
        yield _warning(
            f"{where}: if it fails, the next step's condition is asked of the error, and where that does not hold "
            "the error is the graph's answer, with status 200: set dependency to Hard"
        )
    elif following and step.dependency != "Hard" and following.data == RESPONSE:
        yield _warning(f"{where}: if it fails, its error is sent to the next step as input: set dependency to Hard")


def _other(where: str, step: Step, node: Node) -> Iterator[Finding]:
    reads = {"Splitter": ("weight",), "Switch": ("condition",), "Ensemble": ("dependency",)}.get(node.router_type)
    if reads is None:
        return
    given = {
        "condition": step.condition,
        "data": step.data,
        "dependency": step.dependency,
        "weight": step.weight is not None,
        "mapPredictionsToInstances": step.maps_predictions,
    }
    for field, value in given.items():
        if value and field not in reads:
            yield _warning(f"{where}: routerType {node.router_type} does not read {field}")
    if node.router_type == "Switch" and not step.condition:
        yield _warning(f"{where}: without a condition it is never chosen; @this always holds")


def _condition(where: str, text: str) -> Iterator[Finding]:
    try:
        condition = Condition(text)
    except InputError as e:
        yield _error(f"{where}: {e}")
        return
    yield _warning(
        f"{where}: its condition is asked once for a whole answer, whatever the number of rows in it: all rows go the "
        "same way"
    )
    if condition.always_in_lists:
        yield _warning(
            f"{where}: a condition holds when it finds something, and {text!r} finds a list, perhaps an empty one, "
            "whatever is in it: ask for the first element with '#(...)'"
        )
    elif condition.only_exists:
        yield _warning(
            f"{where}: a condition holds when it finds something, and {text!r} finds false and null too: compare, "
            "for instance [@this].#(late==true)"
        )


def _timeouts(graph: Graph) -> Iterator[Finding]:
    times = graph.timeouts
    if 0 < times.server_write < times.service_client:
        yield _warning(
            f"routerTimeouts: after serverWrite, {times.server_write} s, the connection is closed without an answer, "
            f"before serviceClient, {times.service_client} s, would have said why: make serverWrite the longer one"
        )
