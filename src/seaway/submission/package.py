"""A compiled pipeline that is ready to be sent: read, checked, its parameters in their types.

In: a pipeline and the parameters that a person gave. Out: a YAML file that kfp.Client takes, and values for it.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seaway.errors import InputError
from seaway.local.kfp.spec import PipelineSpec
from seaway.submission import source
from seaway.submission.failures import must_not_be_a_step

SCHEDULED_TIME = "scheduled_time"
"""The parameter in which a pipeline takes the time that a recurring run was due."""
SCHEMA = "2.1.0"
"""The only schema that the backend takes."""
EXACT = 2**53
"""Parameters travel as doubles: an integer beyond this would arrive as another one."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A compiled pipeline in a file."""

    path: Path
    spec: PipelineSpec
    documents: tuple[Mapping[str, Any], ...]
    """The YAML's: the pipeline, and perhaps what is for Kubernetes alone."""
    folder: Path
    """Of files that are made along the way."""

    @property
    def takes_scheduled_time(self) -> bool:
        """Whether it has the parameter `SCHEDULED_TIME` as text, and one of its tasks uses it."""
        if self.spec.parameters.get(SCHEDULED_TIME, {}).get("parameterType") != "STRING":
            return False
        tasks = self.documents[0]["root"].get("dag", {}).get("tasks", {}).values()
        inputs = [i for task in tasks for i in task.get("inputs", {}).get("parameters", {}).values()]
        return any(i.get("componentInputParameter") == SCHEDULED_TIME for i in inputs)

    def without_cache(self) -> Package:
        """The same with the cache switched off for every task.

        Also for those of inner pipelines, loops and branches, which the client's own switch leaves as they are.
        """
        import yaml

        documents = copy.deepcopy(self.documents)
        spec = documents[0]
        for part in (spec["root"], *spec.get("components", {}).values()):
            for task in part.get("dag", {}).get("tasks", {}).values():
                task["cachingOptions"] = {}
        path = self.folder / "uncached.yaml"
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
        return replace(self, path=path, documents=documents)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters in the pipeline's types; texts are read as on a command line.

        Raises:
            InputError: an unknown parameter, a value of another type, or one without default that is missing.
        """
        texts = {name: value if isinstance(value, str) else _json(name, value) for name, value in given.items()}
        values = self.spec.values(texts)
        for name, value in values.items():
            if self.spec.parameters[name]["parameterType"] == "STRING" and not isinstance(given[name], str):
                raise InputError(f"parameter {name!r} must be text, found {given[name]!r}: put it in quotes")
            _json(name, value)
        self.spec.check(values)
        return values


@contextmanager
def opened(pipeline: Any) -> Iterator[Package]:
    """A pipeline as a package, for the length of a block; as `seaway.submission.source.find` takes it.

    Raises:
        InputError: there is no such pipeline, or it is none.
        SubmissionError: called inside of a step.
    """
    must_not_be_a_step()
    with tempfile.TemporaryDirectory(prefix="seaway-") as folder:
        path = source.find(pipeline, Path(folder))
        yield Package(path=path, spec=PipelineSpec.read(path), documents=_documents(path), folder=Path(folder))


def _documents(path: Path) -> tuple[dict[str, Any], ...]:
    import yaml
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = tuple(yaml.load_all(path.read_bytes(), Loader=loader))
    if (found := documents[0].get("schemaVersion")) != SCHEMA:
        raise InputError(f"{path}: must have schemaVersion {SCHEMA}, found {found!r}: compile it with kfp 2")
    kinds = [pipeline_spec_pb2.PipelineSpec, *[pipeline_spec_pb2.PlatformSpec] * (len(documents) - 1)]
    for document, kind in zip(documents, kinds, strict=True):
        try:
            json_format.ParseDict(document, kind())
        except json_format.ParseError as e:
            raise InputError(f"{path}: must be a pipeline that kfp 2 compiled: {e}") from None
    return documents


def _json(name: str, value: Any) -> str:
    for number in _numbers(value):
        if isinstance(number, int) and abs(number) > EXACT:
            raise InputError(f"parameter {name!r} must hold no integer beyond 2^53, found {number}: pass it as text")
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as e:
        raise InputError(f"parameter {name!r} must be plain JSON with finite numbers, found {value!r}: {e}") from None


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
