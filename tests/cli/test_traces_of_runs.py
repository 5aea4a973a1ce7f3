"""``seaway trace``: a run with two ranks, requests to a server and a step that fails, on one time line."""

# no `from __future__ import annotations`: kfp reads the annotations of components

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.compiler import Compiler

from seaway.launch.api import Api
from seaway.launch.service import INFERENCE_SERVICE
from seaway.observe import trace
from tests.cli.conftest import Seaway
from tests.serving import models
from tests.support.waiting import until


@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def ranks(count: int) -> str:
    """A job of so many pods, each with spans of its own."""
    import sys

    from seaway.launch.api import Api
    from seaway.launch.identity import identify
    from seaway.launch.job import named, run_job
    from seaway.observe import trace
    from seaway.observe.step import task
    from seaway.resources import names

    code = """
import os
from seaway.observe import logs, spans
logs.setup(component="train")
rank = int(os.environ["JOB_COMPLETION_INDEX"])
with spans.span(f"rank {rank}", rank=rank):
    for epoch in range(8):
        with spans.span(f"epoch {epoch}") as told:
            told["loss"] = float("nan") if epoch == 7 else 0.5
print('{"span": {"name": 7, "start": "x"}}', flush=True)
print('{"span": broken', flush=True)
"""

    def launch(count: int) -> str:
        api = Api.connect()
        identity = identify(api)
        env = [{"name": "SEAWAY_RUN_ID", "value": identity.run_id}, {"name": "TRACEPARENT", "value": trace.outgoing()}]
        container = {"name": "main", "image": "mine-python:1", "command": [sys.executable, "-c", code], "env": env}
        labels = names.run_labels(identity.run_id, "ranks")
        pod = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}}
        spec = {"parallelism": count, "completions": count, "completionMode": "Indexed", "template": pod}
        built = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": labels}, "spec": spec}
        wanted = named(built, prefix="ranks", identity=identity)
        run_job(api, wanted, identity=identity)
        return wanted["metadata"]["name"]

    return task("ranks", launch, {"count": count})


@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def ask(model: str, row: str, job: str) -> int:
    """Serve a package and ask it some questions, the last of them a bad one."""
    import contextlib
    import json

    from seaway.errors import InputError
    from seaway.launch import endpoint
    from seaway.launch.api import Api
    from seaway.launch.service import deploy
    from seaway.observe.step import task
    from seaway.resources.inference_service import inference_service

    def work(service: str) -> int:
        manifest = inference_service(name=service, storage_uri=model)
        url = deploy(Api.connect(), manifest, timeout_s=60).url
        for _ in range(7):
            endpoint.call(f"{url}/v1/models/{service}:predict", body={"instances": [json.loads(row)]}, timeout_s=30)
        with contextlib.suppress(InputError):
            endpoint.infer(url, service, {"inputs": []})
        return 7

    return task("ask", work, {"service": "traced"})


@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def own() -> str:
    """Nothing of Seaway's: still its process belongs to the trace."""
    import os

    return os.environ["TRACEPARENT"]


@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def fail() -> int:
    """A step that breaks."""
    from seaway.observe.step import task

    def work() -> int:
        raise RuntimeError("it <broke>")

    return task("fail", work, {})


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pipeline that succeeds, and one that fails."""

    @dsl.pipeline(name="traced")
    def traced(model: str, row: str):
        job = ranks(count=2).after(own())
        ask(model=model, row=row, job=job.output)

    @dsl.pipeline(name="failing")
    def failing():
        fail()

    folder = tmp_path_factory.mktemp("pipelines")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for pipeline, name in ((traced, "traced"), (failing, "failing")):
            Compiler().compile(pipeline, str(folder / f"{name}.yaml"))
    return folder / "traced.yaml", folder / "failing.yaml"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The pipeline's parameters: a package and a row that it answers."""
    model = models.write_flights(tmp_path_factory.mktemp("package"))
    return ["--param", f"model={model}", "--param", f"row={json.dumps(models.ROW)}"]


@pytest.fixture(scope="module")
def run(seaway: Seaway, sources: tuple[Path, Path], given: list[str]) -> str:
    """Id of a run that succeeded."""
    return seaway("run", str(sources[0]), *given, "--quiet").split()[1]


def traced(seaway: Seaway, run: str) -> dict[str, Any]:
    """What is found of a run, once the server has written what it noted last."""

    def whole() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(seaway("trace", run, "--json"))
        return found if sum(s["kind"] == "request" for s in found["spans"]) >= 8 else {}

    return until(whole, what="all requests are in the server's log", every_s=0.3)


def test_steps_ranks_and_requests_of_a_run_are_one_tree(seaway: Seaway, run: str) -> None:
    found = traced(seaway, run)
    assert found["trace_id"] == trace.trace_id(run)
    assert found["missing"] == []
    by_id = {s["id"]: s for s in found["spans"]}

    generated = re.compile(r"(?<=ranks)-[0-9a-f]{10}.*")

    def path(span: dict[str, Any]) -> list[str]:
        above = path(by_id[span["parent"]]) if span["parent"] else []
        return [*above, "run" if span["kind"] == "run" else f"{span['kind']} {generated.sub('', span['name'])}"]

    job = ("run", "step 02-ranks", "work job ranks")
    ranked = [(*job, "replica ranks", f"work rank {r}") for r in (0, 1)]
    assert sorted({tuple(path(s)) for s in found["spans"]}) == sorted(
        [
            ("run",),
            ("run", "step 01-own"),
            ("run", "step 02-ranks"),
            job,
            (*job, "replica ranks"),
            *ranked,
            *((*rank, f"work epoch {e}") for rank in ranked for e in range(8)),
            ("run", "step 03-ask"),
            ("run", "step 03-ask", "request POST traced:infer"),
            ("run", "step 03-ask", "request POST traced:predict"),
        ]
    )
    assert len({s["where"] for s in found["spans"] if s["kind"] == "replica"}) == 2
    for s in found["spans"]:
        above = by_id.get(s["parent"], s)
        assert above["start"] - 0.05 <= s["start"] <= s["end"] <= above["end"] + 0.05, (s, above)


def test_every_process_of_a_run_is_handed_the_trace(seaway: Seaway, run: str) -> None:
    [step] = [s for s in json.loads(seaway("runs", run, "--json"))["steps"] if s["component"] == "own"]
    assert step["outputs"]["Output"] == trace.traceparent(run, "01-own")


def test_the_drawing_names_all_of_it_line_by_line(seaway: Seaway, run: str) -> None:
    traced(seaway, run)
    lines = seaway("trace", run).splitlines()
    assert lines[0] == f"run {run}  succeeded  trace {trace.trace_id(run)}"
    names = [re.split(r" {2,}", x.strip())[0] for x in lines[2:]]
    epochs = "8 \N{MULTIPLICATION SIGN} epoch 0 … epoch 7"
    assert names[:3] == [run, "01-own", "02-ranks"]
    assert names[3].startswith("job ranks-")
    assert sorted(n for n in names[4:10] if not n.startswith("ranks-")) == [epochs, epochs, "rank 0", "rank 1"]
    assert names[10:] == [
        "03-ask",
        "7 \N{MULTIPLICATION SIGN} POST traced:predict",
        "✗ POST traced:infer",
        "✗ POST traced:infer: answered 400",
    ]
    assert all(re.search("[█▌▐▏▕]", x) for x in lines[2:-1])


def test_pages_and_exports_are_written(seaway: Seaway, run: str, tmp_path: Path) -> None:
    count = len(traced(seaway, run)["spans"])
    said = seaway("trace", run, "--html", str(tmp_path / "t.html"), "--otlp", str(tmp_path / "t.json"))
    assert said.count(f"{count} spans of run {run}") == 2
    assert "8 \N{MULTIPLICATION SIGN} epoch 0" in (tmp_path / "t.html").read_text()
    exported = json.loads((tmp_path / "t.json").read_text())["resourceSpans"]
    assert sum(len(r["scopeSpans"][0]["spans"]) for r in exported) == count


def test_a_failed_step_is_marked_with_its_reason(seaway: Seaway, sources: tuple[Path, Path], tmp_path: Path) -> None:
    run = seaway("run", str(sources[1]), "--quiet", check=False).split()[1]
    seaway("trace", run, "--html", str(tmp_path / "t.html"))
    drawn = seaway("trace", run)
    assert "✗ 01-fail: RuntimeError: it <broke>" in drawn
    assert re.search(r"✗ 01-fail +[\d.]+ (µ|m)?s +[█▌▐▏▕]", drawn)
    page = (tmp_path / "t.html").read_text()
    assert "it &lt;broke&gt;" in page
    assert "<broke>" not in page


def test_what_is_gone_is_named_and_the_rest_is_drawn(seaway: Seaway, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(seaway.laptop.kubeconfig))
    Api.connect().delete(INFERENCE_SERVICE, "traced")

    def gone() -> str:
        drawn = seaway("trace", run)
        return drawn if "traced: has no pods now, so what it answered is not shown" in drawn else ""

    drawn = until(gone, every_s=0.3, what="the server's pods are gone")
    assert "03-ask" in drawn
    assert "POST traced:predict" not in drawn


def test_a_run_that_is_nowhere_is_said_to_be(seaway: Seaway) -> None:
    said = seaway("trace", "nosuch", check=False)
    assert "names 0" in said
    assert "has no pods of run nosuch" in said
    assert "Traceback" not in said
