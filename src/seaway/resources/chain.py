"""A chain of models as nodes of an InferenceGraph.

In: services by name, the keys of what each answers, and when it is asked. Out: the nodes. The URLs are those of
Seaway's model server, whose ``:chain`` adds a step's answers to the earlier ones, row by row, and whose ``:answer``
ends a chain: so every row's answer has all keys of the chain, null where a model was not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from seaway.errors import InputError
from seaway.resources.inference_graph import RESPONSE, ROOT, Data, Node, Step, sequence, step
from seaway.resources.when import RESERVED, When, check_key

ASK = "ask"
"""Name of the node whose steps ask the models; further ones have a number."""


@dataclass(frozen=True, kw_only=True)
class ChainStep:
    """One model of a chain."""

    service: str
    """Name of its InferenceService."""
    answers: Mapping[str, str]
    """Key in the chain's answer to name of the model's own answer, for instance ``{"minutes": "value"}``."""
    when: When | None = None
    """Which rows it is asked about, by an earlier answer; None for all."""

    def __post_init__(self) -> None:
        if not isinstance(self.service, str) or not self.service:
            raise InputError(f"a chain's step must name its service, found {self.service!r}")
        if not isinstance(self.answers, Mapping) or not self.answers:
            raise InputError(
                f"step {self.service!r}: answers must be an object of at least one key and the model's answer for it, "
                f"for instance {{'minutes': 'value'}}, found {self.answers!r}"
            )
        for key, own in self.answers.items():
            check_key(key)
            if not isinstance(own, str) or not own:
                raise InputError(f"step {self.service!r}: key {key!r} must name an answer of the model, found {own!r}")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Models that are asked one after the other; every row's answer has all their keys, null where one was not asked.

    A later step may have a key of an earlier one: in the rows that it is asked about it replaces that answer.
    """

    steps: tuple[ChainStep, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError("a chain must have at least one step, found none")
        known: list[str] = []
        for number, one in enumerate(self.steps):
            if one.when is not None and one.when.key not in known:
                raise InputError(
                    f"step {number} ({one.service!r}): its condition {str(one.when)!r} must be on an answer of an "
                    f"earlier step, which are {known or 'none'}"
                )
            known += [k for k in one.answers if k not in known]

    @property
    def keys(self) -> tuple[str, ...]:
        """Of every row's answer, in order."""
        return tuple(dict.fromkeys(k for s in self.steps for k in s.answers))

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the InferenceServices, each once."""
        return tuple(dict.fromkeys(s.service for s in self.steps))

    def nodes(self, urls: Mapping[str, str]) -> dict[str, Node]:
        """The graph's nodes.

        A step whose condition does not hold ends its Sequence. So a step with a condition is the last of its node, and
        the steps after it are in another node that begins with that one. The condition only saves a request that no
        row needs: the model server goes row by row in any case.

        Args:
            urls: of each service, without a path.
        """
        nodes: dict[str, Node] = {}
        steps: list[Step] = []
        for number, one in enumerate(self.steps):
            name = one.service if self._times(one.service) == 1 else f"{one.service}-{number}"
            url = model_url(urls, one.service) + ":chain?" + self._query(number)
            condition = one.when.condition if one.when is not None else ""
            data: Data = RESPONSE if number else ""
            steps.append(step(url=url, name=name, data=data, condition=condition, dependency="Hard"))
            if condition or number == len(self.steps) - 1:
                steps = [_close(nodes, steps)]
        end = f"{model_url(urls, self.steps[0].service)}:answer?{'&'.join(self.keys)}"
        return {ROOT: sequence(steps=[*steps, step(url=end, name="answer", data=RESPONSE, dependency="Hard")]), **nodes}

    def _times(self, service: str) -> int:
        return sum(s.service == service for s in self.steps)

    def _query(self, number: int) -> str:
        one = self.steps[number]
        query = dict(one.answers)
        if number == 0:  # from the first answer on, every key is there
            query |= {key: "" for key in self.keys if key not in query}
        if one.when is not None:
            query[RESERVED] = str(one.when)
        return "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())


def model_url(urls: Mapping[str, str], service: str) -> str:
    """Of a service's model, which has the service's name."""
    return f"{urls[service].rstrip('/')}/v1/models/{quote(service)}"


def _close(nodes: dict[str, Node], steps: list[Step]) -> Step:
    """End a node; the step that stands for it."""
    name = ASK if not nodes else f"{ASK}-{len(nodes) + 1}"
    nodes[name] = sequence(steps=steps)
    return step(node=name, dependency="Hard")
