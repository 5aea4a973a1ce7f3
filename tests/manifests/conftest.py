from __future__ import annotations

from collections.abc import Iterator

import pytest

from seaway.launch.settings import CONFIG_KEYS
from tests.support.laptop import TestLaptop, running_laptop


@pytest.fixture(scope="package")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLaptop]:
    """A laptop in place of the cluster."""
    with running_laptop(tmp_path_factory.mktemp("laptop") / "home") as found:
        yield found


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own."""
    for name in CONFIG_KEYS:
        monkeypatch.delenv(name, raising=False)
