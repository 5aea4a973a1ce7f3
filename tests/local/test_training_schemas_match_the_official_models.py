from __future__ import annotations

from tests.support import training_schemas


def test_the_committed_fields_are_those_of_the_training_client() -> None:
    written = training_schemas.TARGET.read_text()
    assert written == training_schemas.text(), "run: python -m tests.support.training_schemas"
