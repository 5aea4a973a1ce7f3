from __future__ import annotations

from seaway.local.api import schemas
from seaway.local.api.kinds import KINDS
from tests.support import kube_schemas


def test_the_committed_fields_are_those_of_the_official_client() -> None:
    assert kube_schemas.TARGET.read_text() == kube_schemas.text(), "run: python -m tests.support.kube_schemas"


def test_every_type_that_a_schema_names_is_there() -> None:
    scalars = {"int", "str", "bool", "float", "datetime", "object"}
    known = schemas.types()
    assert all(kind.schema in known for kind in KINDS)
    for name, fields in known.items():
        for field, written in fields.items():
            inner = written.removeprefix("list[").removesuffix("]")
            inner = inner.removeprefix("dict(str, ").removesuffix(")").removeprefix("list[").removesuffix("]")
            assert inner in scalars or inner in known, f"{name}.{field}: {written}"
