"""What the laptop reads of a compiled pipeline: its parameters with their types, and its steps in order.

Source: kfp's PipelineSpec (pipeline_spec.proto), schema 2.1.0, first document of the YAML.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.errors import InputError

_TYPES = {
    "STRING": "text",
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a JSON list",
    "STRUCT": "a JSON object",
}


@dataclass(frozen=True, kw_only=True)
class PipelineSpec:
    """A compiled pipeline."""

    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    """By name: ``parameterType``, perhaps ``isOptional`` and ``defaultValue``."""
    steps: tuple[str, ...]
    """Names of the tasks in an order that their dependencies allow."""

    @classmethod
    def read(cls, path: Path) -> PipelineSpec:
        """The pipeline in a YAML file.

        Raises:
            InputError: it is no compiled pipeline.
        """
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            documents = list(yaml.load_all(path.read_bytes(), Loader=loader))
        except yaml.YAMLError as e:
            raise InputError(f"{path}: must be YAML: {e}") from None
        spec = documents[0] if documents else None
        if not isinstance(spec, dict) or "pipelineInfo" not in spec or "root" not in spec:
            raise InputError(f"{path}: must be a pipeline that kfp compiled: `seaway compile` writes them")
        return cls(
            name=spec["pipelineInfo"]["name"],
            parameters=spec["root"].get("inputDefinitions", {}).get("parameters", {}),
            steps=tuple(_steps(spec["root"].get("dag", {}), spec.get("components", {}))),
        )

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Texts from a command line as values of the parameters' types.

        Raises:
            InputError: there is no such parameter, or the text is not of its type.
        """
        return {name: self._value(name, text) for name, text in given.items()}

    def check(self, values: Mapping[str, Any]) -> None:
        """See that no parameter without a default is missing.

        Raises:
            InputError: one is missing.
        """
        optional = {n for n, p in self.parameters.items() if p.get("isOptional") or "defaultValue" in p}
        if missing := sorted(self.parameters.keys() - optional - values.keys()):
            raise InputError(
                f"{self.name} must be given {missing}: add " + " ".join(f"--param {m}=..." for m in missing)
            )

    def _value(self, name: str, text: str) -> Any:
        if name not in self.parameters:
            near = difflib.get_close_matches(name, self.parameters, n=3)
            raise InputError(f"{self.name} has no parameter {name!r}; near: {near or sorted(self.parameters)}")
        kind = self.parameters[name]["parameterType"]
        if kind == "STRING":
            return text
        try:
            value = json.loads(text.lower() if kind == "BOOLEAN" else text)
        except ValueError:
            value = text.split(",") if kind == "LIST" else None
        wanted: dict[str, tuple[type, ...]] = {
            "NUMBER_INTEGER": (int,),
            "NUMBER_DOUBLE": (int, float),
            "BOOLEAN": (bool,),
            "LIST": (list,),
            "STRUCT": (dict,),
        }
        if not isinstance(value, wanted[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise InputError(f"parameter {name!r} must be {_TYPES[kind]}, found {text!r}")
        return float(value) if isinstance(value, int | float) and kind == "NUMBER_DOUBLE" else value


def _steps(dag: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    tasks = dict(dag.get("tasks", {}))
    out: list[str] = []
    done: set[str] = set()
    while tasks:
        ready = [n for n, t in tasks.items() if set(t.get("dependentTasks", ())) <= done] or list(tasks)
        for name in ready:
            component = components.get(tasks.pop(name)["componentRef"]["name"], {})
            out += _steps(component["dag"], components) if "dag" in component else [name]
            done.add(name)
    return out
