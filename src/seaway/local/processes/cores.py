"""The cores of this machine, and which of them each container that asks for some runs on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil

from seaway.errors import LaptopError

VARIABLE = "SEAWAY_CPU_POLICY"
SHARE, WAIT = "share", "wait"
"""What happens to pods that ask for more cores than are free: all run and share them, or they stay Pending."""
Holder = tuple[str, str]
"""A pod's uid and a container's name."""


def policy() -> str:
    """What the environment says; LaptopError when it says nothing of the two."""
    found = os.environ.get(VARIABLE) or SHARE
    if found not in (SHARE, WAIT):
        raise LaptopError(f"{VARIABLE} must be {SHARE} or {WAIT}, found {found!r}: set one of them, or unset it")
    return found


class Cores:
    """Gives each container as many whole cores as its request begins, those that have least to do.

    Args:
        numbers: the cores that there are.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = tuple(sorted(numbers))
        self._held: dict[Holder, tuple[tuple[int, ...], float]] = {}

    def take(self, holder: Holder, request: float) -> tuple[int, ...]:
        """Cores for a container that requests ``request`` of them; none when it may use all."""
        self._held.pop(holder, None)
        count = ceil(request)
        if request <= 0 or count >= len(self.numbers):
            return ()
        load = self.load()
        chosen = tuple(sorted(sorted(self.numbers, key=lambda one: (load[one], one))[:count]))
        self._held[holder] = (chosen, request)
        return chosen

    def keep(self, holder: Holder, chosen: Sequence[int], request: float) -> None:
        """Note the cores that a container has that runs already."""
        if request > 0 and 0 < len(chosen) < len(self.numbers):
            self._held[holder] = (tuple(chosen), request)

    def release(self, uid: str, container: str = "") -> None:
        """A container, or with an empty name a whole pod, runs no more."""
        self._held = {
            held: cores for held, cores in self._held.items() if held[0] != uid or container not in ("", held[1])
        }

    def load(self) -> dict[int, float]:
        """What is requested of each core."""
        found = dict.fromkeys(self.numbers, 0.0)
        for chosen, request in self._held.values():
            for one in chosen:
                found[one] = found.get(one, 0.0) + request / len(chosen)
        return found
