"""What a model's graph answers: its outputs, in order.

Classification: ``label`` [n] in the target's dtype, ``probabilities`` float32 [n, K] in the order of the target's
classes, and for two classes ``probability`` float32 [n], that of the positive class. Regression: ``value`` float64 [n].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seaway.model.contract import V2_DATATYPE, Contract


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of the graph."""

    role: str
    """``label``, ``probabilities``, ``probability`` or ``value``."""
    name: str
    """Of the tensor: the role, with underscores after it where a raw column has that name."""
    datatype: str
    """The Open Inference Protocol's name of its element type."""
    columns: int | None = None
    """K where the shape is [n, K]; None where it is [n]."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for model.json."""
        shape = [-1] if self.columns is None else [-1, self.columns]
        return {"role": self.role, "name": self.name, "datatype": self.datatype, "shape": shape}


def outputs(contract: Contract) -> tuple[Output, ...]:
    """The outputs of a model with this contract, in the graph's order."""
    target = contract.target
    if target.task == "regression":
        return (_output("value", "FP64", contract),)
    classes = target.classes or ()
    found = [
        _output("label", V2_DATATYPE[target.dtype], contract),
        _output("probabilities", "FP32", contract, len(classes)),
    ]
    if target.positive is not None:
        found.append(_output("probability", "FP32", contract))
    return tuple(found)


def output_name(contract: Contract, role: str) -> str:
    """The tensor's name of one role.

    Raises:
        KeyError: a model with this contract has no such output.
    """
    names = {o.role: o.name for o in outputs(contract)}
    return names[role]


def _output(role: str, datatype: str, contract: Contract, columns: int | None = None) -> Output:
    name = role
    while name in contract.names:
        name += "_"
    return Output(role=role, name=name, datatype=datatype, columns=columns)
