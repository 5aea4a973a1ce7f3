"""A server for all tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import models
from tests.serving.processes import Serving, serving


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of the package `flights`."""
    return models.write_flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, flights: str) -> Iterator[Serving]:
    """A server of three models with a small limit for bodies."""
    folder: Path = tmp_path_factory.mktemp("server")
    more = [f"words={models.write_words(folder)}", models.write_double(folder)]
    with serving(folder, f"flights={flights}", *more, more=("--max-body-mib", "1")) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Serving) -> Iterator[httpx.Client]:
    """Asks that server."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client
