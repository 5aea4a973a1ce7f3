from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.launch.api import Api
from tests.support.laptop import TestLaptop, running_laptop
from tests.support.tiny_package import make_package


@pytest.fixture(scope="package")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLaptop]:
    """A laptop for the launchers' tests."""
    with running_laptop(tmp_path_factory.mktemp("laptop") / "home") as found:
        yield found


@pytest.fixture
def api(laptop: TestLaptop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Api:
    """The laptop's API as a step sees it."""
    monkeypatch.setenv("KUBECONFIG", str(laptop.kubeconfig))
    monkeypatch.setenv("SEAWAY_HOME", str(laptop.home))
    monkeypatch.setenv("SEAWAY_RUN_ID", "run-1")
    caplog.set_level(logging.INFO)
    return Api.connect()


@pytest.fixture(scope="package")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two packages of one contract; their answers differ."""
    one = make_package(tmp_path_factory.mktemp("one"))
    two = make_package(tmp_path_factory.mktemp("two"), estimator="logistic")
    return one, two
