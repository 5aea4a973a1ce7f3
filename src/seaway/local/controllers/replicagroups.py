"""The replicas that a training operator's job should have, by type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seaway.local.api.status import Object
from seaway.local.api.trainingkinds import of

Place = tuple[str, int]
"""A replica's type, as labels write it, and its index."""
Ports = Mapping[Place, int]
"""Ports of 127.0.0.1 by replica."""


@dataclass(frozen=True)
class Group:
    """The replicas of one type."""

    type: str
    """Master, Worker, PS and so on."""
    count: int
    policy: str
    """Always, OnFailure, Never or ExitCode."""
    template: Object

    @property
    def label(self) -> str:
        """The type as labels and names write it."""
        return self.type.lower()

    @property
    def places(self) -> list[Place]:
        """Its replicas."""
        return [(self.label, index) for index in range(self.count)]


def groups(job: Object) -> list[Group]:
    """The types of replicas that a job has, in the order of its kind, with the operator's defaults."""
    kind = of(job)
    return [
        Group(
            type_,
            int(spec.get("replicas", 1)),
            spec.get("restartPolicy") or kind.policy,
            spec.get("template") or {},
        )
        for type_, spec in kind.replica_specs(job["spec"])
    ]
