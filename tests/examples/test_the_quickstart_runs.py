"""The notebook runs as a data scientist runs it: on its own laptop, against a server that keeps what it is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from seaway.submission.server import COOKIES, HOSTS, TOKEN, UI
from tests.support.laptop import free_port
from tests.support.pipelines_api import PipelinesApi, running_api

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A laptop's home, and nothing of the machine's own settings; its laptop is ended."""
    for name in (*HOSTS, TOKEN, COOKIES, UI, "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEAWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEAWAY_PORT", str(free_port()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    yield tmp_path / "home"
    subprocess.run([sys.executable, "-m", "seaway", "down"], env=os.environ, check=True, capture_output=True)


@pytest.fixture
def api() -> Iterator[PipelinesApi]:
    with running_api() as running:
        yield running


def executed(folder: Path, *, tag: str = "") -> nbformat.NotebookNode:
    """The notebook with its outputs; with a tag, only the cells that have it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [c for c in notebook.cells if not tag or tag in c.metadata.get("tags", [])]
    client = NotebookClient(notebook, timeout=150, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(str(o.get("text") or o.get("data", {}).get("text/plain", "")) for o in outputs)


def test_the_notebook_is_valid_and_holds_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_notebook_runs_submits_and_schedules(
    home: Path, api: PipelinesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_KFP_HOST", api.url)
    said = printed(executed(tmp_path))
    assert "06-smoke_test succeeded" in said
    assert "\x1b[2K" not in said  # nothing is drawn over
    assert "InferenceService quickstart version" in said
    assert "'predictions': [{'label':" in said
    assert "At 02:00 AM, UTC" in said
    submitted, by_client = api.posted("runs")
    assert submitted.body["runtime_config"]["parameters"]["name"] == "flights-late"
    assert by_client.body["runtime_config"] == submitted.body["runtime_config"]
    assert by_client.body["pipeline_spec"].keys() == {"pipeline_spec", "platform_spec"}
    (recurring,) = api.posted("recurringruns")
    assert recurring.body["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert recurring.body["runtime_config"]["parameters"]["scheduled_time"] == "[[ScheduledTime]]"


@pytest.mark.timeout(150)
def test_without_a_host_it_only_shows_what_it_would_send(home: Path, tmp_path: Path) -> None:
    said = printed(executed(tmp_path, tag="cluster"))
    assert "set SEAWAY_KFP_HOST to send this" in said
    assert "[[ScheduledTime]]" in said
    assert "/#/runs/" not in said
