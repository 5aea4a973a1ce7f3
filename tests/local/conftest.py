from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.laptop import TestLaptop, running_laptop

if TYPE_CHECKING:
    from kubernetes import client


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLaptop]:
    """One laptop for all tests that do not end it."""
    with running_laptop(tmp_path_factory.mktemp("laptop") / "home") as found:
        yield found


@pytest.fixture(scope="session")
def api(laptop: TestLaptop) -> Iterator[client.ApiClient]:
    """The official client."""
    with laptop.client() as found:
        yield found
