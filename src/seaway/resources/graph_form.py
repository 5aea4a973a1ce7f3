"""A graph as JSON, for a pipeline's parameter: a chain, a split, or nodes as the CRD has them.

    {"chain": [{"service": "late", "answers": {"late": "label", "probability": "probability"}},
               {"service": "delay", "answers": {"minutes": "value"}, "when": "probability >= 0.3"}]}
    {"split": [{"service": "one", "weight": 90}, {"service": "two", "weight": 10}]}
    {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "one"}]}}}

In: such an object. Out: a form that knows its services and, given their URLs, the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from seaway.errors import InputError
from seaway.resources.chain import Chain, ChainStep, model_url
from seaway.resources.inference_graph import ROOT, Node, splitter, step
from seaway.resources.when import When


@dataclass(frozen=True, kw_only=True)
class Split:
    """Services of which one answers a request, by chance."""

    weights: Mapping[str, int]
    """Per cent of the requests, by service; they sum to 100."""

    def __post_init__(self) -> None:
        self.nodes(dict.fromkeys(self.weights, "http://x"))  # checks the weights

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the InferenceServices."""
        return tuple(self.weights)

    def nodes(self, urls: Mapping[str, str]) -> dict[str, Node]:
        """The graph's node; it answers v1 requests, ``{"instances": [...]}``.

        Args:
            urls: of each service, without a path.
        """
        steps = [
            step(url=f"{model_url(urls, service)}:predict", name=service, weight=weight)
            for service, weight in self.weights.items()
        ]
        return {ROOT: splitter(steps=steps)}


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Nodes as the CRD has them, unchanged."""

    given: Mapping[str, Any]

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the InferenceServices that its steps name."""
        steps = [s for node in self.given.values() for s in node["steps"]]
        return tuple(dict.fromkeys(str(s["serviceName"]) for s in steps if s.get("serviceName")))

    def nodes(self, urls: Mapping[str, str]) -> dict[str, Node]:
        """The given nodes; KServe finds the services' URLs itself."""
        return dict(self.given)


Form = Chain | Split | Nodes
FORMS = ("chain", "split", "nodes")


def graph_form(raw: Mapping[str, Any]) -> Form:
    """The form in a JSON object.

    Raises:
        InputError: it is none, in words.
    """
    if not isinstance(raw, Mapping) or len(raw) != 1 or next(iter(raw)) not in FORMS:
        found = sorted(raw) if isinstance(raw, Mapping) else raw
        raise InputError(f"a graph must be an object with one key of {list(FORMS)}, found {found!r}")
    ((form, content),) = raw.items()
    if form == "nodes":
        return Nodes(given=_nodes(content))
    if not isinstance(content, list) or not content:
        raise InputError(f"a graph's {form!r} must be a list of at least one object, found {content!r}")
    if form == "split":
        return _split(content)
    return Chain(steps=tuple(_chain_step(number, entry) for number, entry in enumerate(content)))


def _chain_step(number: int, entry: Any) -> ChainStep:
    _keys(f"chain step {number}", entry, needed=("service", "answers"), more=("when",))
    when = entry.get("when")
    if when is not None and not isinstance(when, str):
        raise InputError(f"chain step {number}: when must be a text such as 'probability >= 0.3', found {when!r}")
    return ChainStep(service=entry["service"], answers=entry["answers"], when=When.parse(when) if when else None)


def _split(content: list[Any]) -> Split:
    weights: dict[str, int] = {}
    for number, entry in enumerate(content):
        _keys(f"split {number}", entry, needed=("service", "weight"))
        service, weight = entry["service"], entry["weight"]
        if not isinstance(service, str) or not service or service in weights:
            raise InputError(f"split {number}: service must be a name, each once, found {service!r}")
        # a pipeline's parameter holds no integers: 90 arrives as 90.0
        weights[service] = int(weight) if isinstance(weight, float) and weight.is_integer() else weight
    return Split(weights=weights)


def _nodes(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping) or ROOT not in content:
        raise InputError(f"a graph's 'nodes' must be an object with a node {ROOT!r}, found {content!r}")
    for name, node in content.items():
        _keys(f"node {name!r}", node, needed=("routerType", "steps"))
        if not isinstance(node["steps"], list) or not all(isinstance(s, Mapping) for s in node["steps"]):
            raise InputError(f"node {name!r}: steps must be a list of objects, found {node['steps']!r}")
    return {
        name: {**node, "steps": [_whole(cast(Mapping[str, Any], s)) for s in node["steps"]]}
        for name, node in content.items()
    }


def _whole(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in entry.items()}


def _keys(what: str, entry: Any, *, needed: tuple[str, ...], more: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise InputError(f"{what} must be an object with {list(needed)}, found {entry!r}")
    missing = [k for k in needed if k not in entry]
    unknown = sorted(set(entry) - {*needed, *more})
    if missing or unknown:
        raise InputError(
            f"{what} must have {list(needed)}{f' and may have {list(more)}' if more else ''}, found {sorted(entry)}"
        )
