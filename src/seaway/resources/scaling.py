"""How a training is spread over machines: one policy, whatever the framework and the kind of job.

In: a policy as people, KFP and Katib hand it over (numbers may come as text, whole numbers as 2.0). Out: all of it,
each in its own type and range. What a framework cannot do is not known here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError, near

BATCH_RULES = ("fixed", "linear", "sqrt")
MOST = {"replicas": 1000, "min_replicas": 1000, "max_replicas": 1000, "processes": 64, "gpus": 64}
"""Names of replicas have room for no greater index."""
_LEAST = {"replicas": 1}
_CPU = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(|k|M|G|T|Ki|Mi|Gi|Ti)")
_UNITS = {"": 1, **{u: 1000**i for i, u in enumerate("kMGT", 1)}, **{f"{u}i": 1024**i for i, u in enumerate("KMGT", 1)}}
_LEAST_BYTES = 4 * 1024**2
"""As Kubernetes: no container runs in less. A 4 that was meant as 4Gi asks for 4 bytes."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Replicas, their resources, and what the batch becomes.

    Raises:
        InputError: a value is out of its range, or they do not fit each other.
    """

    replicas: int = 1
    """That train together; those that an elastic training begins with."""
    min_replicas: int = 0
    """Elastic: it waits for so many; 0 with max_replicas set is the same as replicas."""
    max_replicas: int = 0
    """Elastic: at most so many; 0 with min_replicas set is the same as replicas."""
    processes: int = 0
    """Of each replica; 0 is one, or one for each GPU where a process takes only one."""
    cpu: str = ""
    """Of a replica, as Kubernetes writes quantities: ``2``, ``500m``."""
    memory: str = ""
    """Of a replica: ``4Gi``."""
    gpus: int = 0
    """Of a replica."""
    batch_rule: str = ""
    """Of networks, what becomes of batch and learning rate with more ranks: fixed, linear or sqrt; empty for fixed."""

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            least, found = _LEAST.get(name, 0), getattr(self, name)
            if not least <= found <= most:
                bound = f"at least {least}" if found < least else f"at most {most:,}"
                raise InputError(f"{name} must be {bound}, found {found}")
        if self.batch_rule and self.batch_rule not in BATCH_RULES:
            raise InputError(
                f"batch_rule must be one of {list(BATCH_RULES)}, found {self.batch_rule!r}"
                f"{near(self.batch_rule, BATCH_RULES)}"
            )
        low, high = self.bounds
        if not low <= self.replicas <= high:
            raise InputError(
                f"replicas must be from min_replicas to max_replicas, found replicas={self.replicas}, "
                f"min_replicas={low} and max_replicas={high}: an elastic training begins with replicas of them"
            )
        _quantity("cpu", self.cpu, _CPU, "2, 0.5 or 500m")
        given = _quantity("memory", self.memory, _MEMORY, "4Gi or 512Mi")
        if given is not None and float(given[1]) * _UNITS[given[2]] < _LEAST_BYTES:
            raise InputError(f"memory must be at least 4Mi, found {self.memory!r}: write its unit, such as 4Gi")

    @property
    def elastic(self) -> bool:
        """Whether the number of replicas may change while it trains."""
        return bool(self.min_replicas or self.max_replicas)

    @property
    def bounds(self) -> tuple[int, int]:
        """Fewest and most replicas."""
        return self.min_replicas or self.replicas, self.max_replicas or self.replicas

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)


def scaling(policy: Mapping[str, Any] | str, **plain: Any) -> Scaling:
    """The policy, strictly read.

    Args:
        policy: a dictionary with `Scaling`'s keys, or the same as JSON; what it names overrides the rest.
        **plain: values where the policy names none.

    Raises:
        InputError: it has a key that there is not, or a value is not what it may be.
    """
    given = _mapping(policy)
    for key in given:
        if key not in _READ:
            raise InputError(f"scaling takes {sorted(_READ)}, found {key!r}{near(str(key), _READ)}")
    return Scaling(**{key: _READ[key](key, value) for key, value in {**plain, **given}.items()})


def _mapping(policy: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if isinstance(policy, str):
        try:
            policy = json.loads(policy or "{}")
        except ValueError as e:
            example = '{"replicas": 2, "cpu": "1"}'
            raise InputError(f"scaling must be JSON such as {example}, found {policy!r}: {e}") from None
    if not isinstance(policy, Mapping):
        raise InputError(f"scaling must be an object with keys among {sorted(_READ)}, found {policy!r}")
    return policy


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or float(value) != int(float(value)):
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(f"{name} must be a whole number, found {value!r}") from None
    return int(float(value))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text, found {value!r}")
    return value


def _amount(name: str, value: Any) -> str:
    """A quantity; a number of CPUs may come as one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if value == int(value) else repr(value)
    return _text(name, value)


def _quantity(name: str, text: str, form: re.Pattern[str], such_as: str) -> re.Match[str] | None:
    if not text:
        return None
    found = form.fullmatch(text)
    if found is None or not float(found[1]):
        raise InputError(f"{name} must be an amount such as {such_as}, found {text!r}")
    return found


_READ: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(MOST, _whole),
    "cpu": _amount,
    "memory": _amount,
    "batch_rule": _text,
}
