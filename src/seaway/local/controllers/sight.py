"""What one look at a training operator's job sees. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seaway.local.api.status import Object
from seaway.local.api.trainingkinds import TrainingKind, of
from seaway.local.controllers import replicas
from seaway.local.controllers.base import Observed
from seaway.local.controllers.replicagroups import Group, Place, Ports, groups

_DRAWS = 100
"""Tries to draw a port that no other replica of the job has."""


@dataclass
class Sight:
    """A job's children, sorted."""

    kind: TrainingKind
    groups: list[Group]
    pods: dict[Place, Object] = field(default_factory=dict)
    """Those that are not being deleted."""
    services: dict[Place, Object] = field(default_factory=dict)
    leaving: list[Object] = field(default_factory=list)
    """What is being deleted."""
    ports: dict[Place, int] = field(default_factory=dict)
    """The ports that replicas have."""
    elastic: bool = False

    @classmethod
    def of(cls, job: Object, observed: Observed) -> Sight:
        """Sort the children."""
        found = cls(of(job), groups(job), elastic=job["spec"].get("elasticPolicy") is not None)
        for child in observed.children:
            kind, type_, index = replicas.place(child)
            if child["metadata"].get("deletionTimestamp"):
                found.leaving.append(child)
                continue
            (found.pods if kind == "Pod" else found.services)[type_, index] = child
            if port := replicas.port([child]):
                found.ports[type_, index] = port
        return found

    @property
    def leader(self) -> Group | None:
        """The replicas whose state is the job's; None when it has none of that kind."""
        first = self.groups[0] if self.groups else None
        return first if first is not None and first.type in self.kind.leaders else None

    @property
    def listeners(self) -> list[Object]:
        """The pods that listen on the ports that the job was given."""
        if self.kind.own_ports:
            return list(self.pods.values())
        first = self.pods.get((self.groups[0].label, 0))
        return [] if first is None else [first]

    def port(self, place: Place) -> int:
        """The port of one replica, 0 while it has none."""
        if self.kind.own_ports:
            return self.ports.get(place, 0)
        return next(iter(self.ports.values()), 0)

    def all_ports(self, draw: Callable[[], int]) -> Ports:
        """The ports of all replicas, with those drawn that are missing."""
        found: dict[Place, int] = {}
        for group in self.groups:
            for place in group.places:
                port = self.port(place)
                if not port and found and not self.kind.own_ports:
                    port = next(iter(found.values()))
                found[place] = port or _draw(draw, {*found.values(), *self.ports.values()})
        return found

    def phase(self, place: Place) -> str:
        """The phase of one replica's pod, empty when there is none."""
        pod = self.pods.get(place)
        return "" if pod is None else replicas.phase(pod)

    def of_group(self, group: Group) -> list[Object]:
        """The pods of one type."""
        return [pod for (type_, _), pod in self.pods.items() if type_ == group.label]

    def count(self, group: Group, phase: str) -> int:
        """How many pods of a type are in a phase; one that is deleted while it runs has failed.

        Pods of a port that the job has left, and of replicas that it no longer has, are of no account.
        """
        found = sum(1 for pod in self.of_group(group) if replicas.phase(pod) == phase)
        return found + (sum(1 for pod in self.leaving if self._was_one_of(pod, group)) if phase == "Failed" else 0)

    def lost(self, group: Group) -> int:
        """How many replicas of a group have failed and run no more."""
        failed = self.count(group, "Failed")
        return failed if group.count > self.count(group, "Succeeded") + self.count(group, "Running") else 0

    def hopeless(self, group: Group) -> bool:
        """Whether a replica has failed with an exit code that says that it will again."""
        failed = (pod for pod in self.of_group(group) if replicas.phase(pod) == "Failed")
        return group.policy == "ExitCode" and any(not replicas.replaced(pod, group) for pod in failed)

    def _was_one_of(self, pod: Object, group: Group) -> bool:
        kind, type_, index = replicas.place(pod)
        one = (kind, type_) == ("Pod", group.label) and index < group.count
        return one and replicas.phase(pod) == "Running" and replicas.port([pod]) == self.port((type_, index))


def _draw(draw: Callable[[], int], taken: set[int]) -> int:
    port = draw()
    for _ in range(_DRAWS):
        if port not in taken:
            break
        port = draw()
    return port
