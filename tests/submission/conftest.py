from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.submission import transport
from seaway.submission.server import COOKIES, HOSTS, TOKEN, UI
from seaway.submission.source import find
from tests.support.pipelines_api import PipelinesApi, running_api

GIVEN = {"data": "s3://bucket/trips.parquet", "target": "fare", "name": "fares"}
"""What train_and_serve cannot do without."""
MODULE = """
from kfp import dsl
from helper import add

@dsl.pipeline(name="one")
def one(n: int = 1, scheduled_time: str = ""):
    add(x=n, note=scheduled_time)
"""
HELPER = """
from kfp import dsl

@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def add(x: int, note: str = "") -> int:
    return x + 1
"""


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own settings, and no long pauses."""
    for name in (*HOSTS, TOKEN, COOKIES, UI, "KUBERNETES_SERVICE_HOST", "_KFP_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", "KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    import kfp

    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "kfp" / "context.json"))
    monkeypatch.setattr(transport, "PAUSES_S", (0.01, 0.01, 0.01))


@pytest.fixture
def api() -> Iterator[PipelinesApi]:
    with running_api() as running:
        yield running


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of one task without needs, compiled: kfp reads it faster than a real one."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "helper.py").write_text(HELPER)
    (folder / "small.py").write_text(MODULE)
    return find(folder / "small.py", folder)
