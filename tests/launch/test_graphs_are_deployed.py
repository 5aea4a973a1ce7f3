"""Graphs: their services must serve, they answer as these do one after the other, and the way back."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from seaway.cli.predict import predict_command, show_served
from seaway.errors import DeadlineError, InputError, LaunchError
from seaway.launch import endpoint, graph_check
from seaway.launch.api import Api
from seaway.launch.graph import Deployed, deploy_graph
from seaway.launch.graph_ready import INFERENCE_GRAPH, rollout_missing
from seaway.launch.graph_services import Service, addresses
from seaway.launch.sample import json_rows, json_value
from seaway.launch.service import deploy
from seaway.resources.chain import Chain
from seaway.resources.graph_form import graph_form
from seaway.resources.inference_service import inference_service
from tests.serving import models
from tests.serving.models import ROW, probability
from tests.support.laptop import TestLaptop

FIRST = {"service": "flights", "answers": {"late": "label", "probability": "probability"}}
CHAIN = {"chain": [FIRST, {"service": "double", "answers": {"twice": "value"}, "when": "probability >= 0.9"}]}


@pytest.fixture(scope="module")
def deployed(laptop: TestLaptop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The services `flights` and `double`, and a sample."""
    folder, patch = tmp_path_factory.mktemp("models"), pytest.MonkeyPatch()
    with patch.context() as context:
        context.setenv("KUBECONFIG", str(laptop.kubeconfig))
        api = Api.connect()
    for uri, name in ((models.write_flights(folder), "flights"), (models.write_double(folder), "double")):
        deploy(api, dict(inference_service(name=name, storage_uri=uri)), timeout_s=60)


def sample(folder: Path, hours: range = range(24)) -> str:
    """Raw rows for both models, with a target, and one that breaks a contract."""
    rows = [{**ROW, "hour": hour, "x": hour / 2, "late": True} for hour in hours]
    rows.append({**rows[0], "carrier": "??"})
    path = folder / "sample.parquet"
    pl.DataFrame(rows).with_columns(
        departure=pl.from_epoch("departure", "us").dt.replace_time_zone("UTC")
    ).write_parquet(path)
    return str(path)


def ask(folder: Path, name: str, **changes: Any) -> Deployed:
    arguments = {"graph": CHAIN, "summary": str(folder / "summary.md"), "sample": sample(folder), "timeout_s": 30}
    return deploy_graph(name=name, **{**arguments, **changes})


@pytest.mark.usefixtures("deployed")
def test_a_chain_is_deployed_checked_and_asked(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(tmp_path, "chained")
    assert found.services == ("flights", "double")
    assert found.rows == 24
    assert found.asked[0] == 24
    assert 0 < found.asked[1] < 24
    rows = [{**ROW, "hour": hour, "x": hour / 2} for hour in range(24)]
    packed, _ = endpoint.call(found.url, body={"instances": rows}, timeout_s=20)
    assert list(packed) == ["predictions"]
    for row, answer in zip(rows, packed["predictions"], strict=True):
        p = probability(row)
        assert answer["probability"] == pytest.approx(p, abs=1e-6)
        assert answer == {
            "late": p > 0.5,
            "probability": answer["probability"],
            "twice": row["x"] * 2 if p >= 0.9 else None,
        }
        alone, _ = endpoint.call(found.url, body={"instances": [row]}, timeout_s=20)
        assert alone["predictions"] == [answer]
    graph = api.get(INFERENCE_GRAPH, "chained")
    assert graph is not None
    assert "ownerReferences" not in graph["metadata"]
    assert graph["metadata"]["annotations"]["seaway.dev/run-id"] == "run-1"
    summary = (tmp_path / "summary.md").read_text()
    assert f"answers at {found.url}" in summary
    assert f"rows with `probability>=0.9` ({found.asked[1]} of 24 in the sample)" in summary
    assert "1 of 25 rows of the sample break a contract and are left out" in caplog.text
    assert f"chained chains flights 24, double {found.asked[1]} of 24 rows at {found.url}" == found.headline

    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{**rows[0], "target": 1}, rows[23]]))
    for as_json, words in (([], "late=false, probability="), (["--json"], '{"late": false, "probability":')):
        done = CliRunner().invoke(predict_command, ["chained", "--rows", str(file), *as_json])
        assert done.exit_code == 0, done.output
        assert done.output.splitlines()[0].startswith(words)
        assert len(done.output.splitlines()) == 2
    outputs = {"name": "chained", "url": found.url}
    promoted = {"component": "promote", "outputs": {"service": "flights", "promoted": True, "reasons": ["so good"]}}
    step = {"component": "deploy_graph", "inputs": {"sample": sample(tmp_path)}, "outputs": outputs}
    show_served([promoted, step])
    said = capsys.readouterr().out
    assert "so good" in said
    assert f"InferenceGraph chained answers at {found.url}" in said
    assert f"curl {found.url} -d " in said
    assert '"twice": ' in said, "the row shown is one about which both models were asked"
    assert '"twice": null' not in said


@pytest.mark.usefixtures("deployed")
def test_a_changed_graph_takes_over_at_the_same_url(api: Api, tmp_path: Path) -> None:
    one = ask(tmp_path, "changed")
    never = {"chain": [FIRST, {**CHAIN["chain"][1], "when": "probability > 2"}]}
    two = ask(tmp_path, "changed", graph=never)
    assert two.url == one.url
    assert two.asked == (24, 0)


@pytest.mark.usefixtures("deployed")
def test_a_graph_that_answers_otherwise_is_put_back(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_check, "PATIENCE_S", 0.2)
    wrong = graph_form({"chain": [FIRST, {**CHAIN["chain"][1], "when": "probability < 0.9"}]})
    urls = {n: endpoint_of(api, n) for n in ("flights", "double")}
    patch = {"spec": {"nodes": {"ask": wrong.nodes(urls)["ask"]}}}
    with pytest.raises(LaunchError, match=r"answer as its services do .* answers differ: .*twice: "):
        ask(tmp_path, "put-back", patch=patch)
    assert api.get(INFERENCE_GRAPH, "put-back") is None
    right = ask(tmp_path, "put-back")
    with pytest.raises(LaunchError, match="answers differ"):
        ask(tmp_path, "put-back", patch=patch)
    assert ask(tmp_path, "put-back").asked == right.asked
    graph = api.get(INFERENCE_GRAPH, "put-back")
    assert graph is not None
    assert "0.9" in graph["spec"]["nodes"]["ask"]["steps"][1]["condition"]


def endpoint_of(api: Api, name: str) -> str:
    return addresses(api, [name], timeout_s=1)[name].cluster


@pytest.mark.usefixtures("deployed")
def test_a_split_answers_as_one_of_its_models(api: Api, tmp_path: Path) -> None:
    same = {"split": [{"service": "flights", "weight": 60}, {"service": "flights-two", "weight": 40}]}
    with pytest.raises(
        LaunchError, match="found no InferenceService 'flights-two' in default: promote the model first"
    ):
        ask(tmp_path, "split", graph=same)
    uri = models.write_flights(tmp_path, name="flights-two")
    deploy(api, dict(inference_service(name="flights-two", storage_uri=uri)), timeout_s=60)
    found = ask(tmp_path, "split", graph=same)
    assert found.rows == 24
    assert found.asked == ()


@pytest.mark.usefixtures("deployed")
def test_a_graph_that_cannot_be_is_refused_before_anything_is_applied(api: Api, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"graph": {"chain": [{**FIRST, "service": "Flights"}]}}, LaunchError, "did you mean 'flights'"),
        (
            {"graph": {"chain": [{**FIRST, "answers": {"late": "lable"}}]}},
            InputError,
            "must be one of flights's answers",
        ),
        ({"graph": {"nodes": {"root": {"routerType": "Sequence", "steps": []}}}, "sample": ""}, InputError, "steps"),
        ({"graph": {"nodes": {"root": {"routerType": "Sequence", "steps": []}}}}, InputError, "sample must be empty"),
        ({"sample": str(tmp_path / "nothing.parquet")}, InputError, "nothing"),
        ({"patch": {"spec": {"nodes": {"root": None}}}}, InputError, "a node named 'root'"),
    ]
    for changes, error, words in wrong:
        with pytest.raises(error, match=words):
            ask(tmp_path, "never", **changes)
    assert api.get(INFERENCE_GRAPH, "never") is None


def test_a_service_that_is_not_ready_is_named_with_its_reason(api: Api, tmp_path: Path) -> None:
    api.apply(dict(inference_service(name="broken", storage_uri=str(tmp_path / "no-package"))))
    with pytest.raises(LaunchError, match=r"a graph's services must be ready: InferenceService broken .*no-package"):
        ask(tmp_path, "never", graph={"chain": [{**FIRST, "service": "broken"}]}, timeout_s=20)
    assert api.get(INFERENCE_GRAPH, "never") is None
    api.delete(("serving.kserve.io/v1beta1", "InferenceService"), "broken")


def test_a_dry_run_shows_the_manifest_and_needs_no_service(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = ask(tmp_path, "dry", graph={"chain": [{**FIRST, "service": "to-come"}]}, dry_run=True)
    assert found.url == ""
    assert "http://to-come-predictor.default.svc.cluster.local/v1/models/to-come:chain" in caplog.text
    assert api.get(INFERENCE_GRAPH, "dry") is None
    assert "was not applied" in (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("deployed")
def test_a_graph_of_nodes_is_deployed_as_it_is(api: Api, tmp_path: Path) -> None:
    url = endpoint_of(api, "double")
    steps = [{"serviceUrl": f"{url}/v1/models/double:predict", "weight": 100.0}]
    nodes = {"root": {"routerType": "Splitter", "steps": steps}}
    found = ask(tmp_path, "nodes", graph={"nodes": nodes}, sample="")
    answer, _ = endpoint.call(found.url, body={"instances": [{"x": 4}]}, timeout_s=10)
    assert answer == {"predictions": [{"value": 8.0}]}


@pytest.mark.usefixtures("deployed")
def test_a_graph_that_does_not_get_ready_in_time_is_deleted_or_put_back(api: Api, tmp_path: Path) -> None:
    nodes = {"root": {"routerType": "Sequence", "steps": [{"serviceName": "double"}]}}
    with pytest.raises(DeadlineError, match="InferenceGraph slow must be ready within 0 s: "):
        ask(tmp_path, "slow", graph={"nodes": nodes}, sample="", timeout_s=0)
    assert api.get(INFERENCE_GRAPH, "slow") is None
    ask(tmp_path, "slow", graph={"nodes": nodes}, sample="")
    with pytest.raises(DeadlineError, match="must be ready within 0 s"):
        ask(tmp_path, "slow", sample="", timeout_s=0)
    graph = api.get(INFERENCE_GRAPH, "slow")
    assert graph is not None
    assert graph["spec"]["nodes"] == nodes


@pytest.mark.usefixtures("api", "deployed")
def test_the_component_gives_the_graphs_url(tmp_path: Path) -> None:
    from seaway.components.deploy_graph.component import deploy_graph as component

    summary = SimpleNamespace(path=str(tmp_path / "summary.md"), uri="minio://x/summary.md")
    graph = {"chain": [{"service": "double", "answers": {"twice": "value"}}]}
    url = component.python_func(name="component", graph=graph, summary=summary, sample=sample(tmp_path))
    answer, _ = endpoint.call(url, body={"instances": [{"x": 2, "other": 1}]}, timeout_s=10)
    assert answer == {"predictions": [{"twice": 4.0}]}
    assert url in (tmp_path / "summary.md").read_text()


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[str, Any], Any]], str]]:
    """Starts HTTP servers that answer what a function of path and body says."""
    servers = []

    def start(answer: Callable[[str, Any], Any]) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                out = json.dumps(answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_wrong_answer_of_a_graph_is_told(
    answering: Callable[[Callable[[str, Any], Any]], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(graph_check, "PATIENCE_S", 0.0)
    monkeypatch.setattr("time.sleep", lambda s: None)
    raw = [{"service": "a", "answers": {"k": "v"}}, {"service": "b", "answers": {"m": "v"}, "when": "k >= 5"}]
    form = graph_form({"chain": raw})
    assert isinstance(form, Chain)
    model = answering(lambda _, body: {"predictions": [{"v": row["x"]} for row in body["instances"]]})
    services = {n: Service(name=n, url=model, inputs={"x": "INT64"}, outputs=("v",)) for n in ("a", "b")}
    rows = [{"x": x} for x in (1, 9, 2, 8)]

    def good(_: str, body: Any) -> Any:
        return {"predictions": [{"k": r["x"], "m": r["x"] if r["x"] >= 5 else None} for r in body["instances"]]}

    def packing(path: str, body: Any) -> Any:
        found = good(path, body)
        any(p["m"] for p in found["predictions"]) and [p.update(m=p["k"]) for p in found["predictions"]]
        return found

    with caplog.at_level(logging.INFO):
        seen = graph_check.check(form, services, answering(good), rows)
    assert (seen.rows, seen.single, seen.asked) == (4, 4, (4, 2))
    assert "b is asked about 2 of 4 rows: k>=5" in caplog.text
    graph_check.check(form, services, answering(good), [{"x": 1}])
    assert "no row of the sample fulfils k>=5: the other side of this condition was not seen" in caplog.text
    for wrong, words in (
        (packing, "2 answers differ: m: 1 where the services say None"),
        (lambda p, b: {"predictions": [{"k": r["x"]} for r in b["instances"]]}, r"keys \['k'\] where"),
        (lambda p, b: {"predictions": [{**e, "k": float(e["k"]) + 0.1} for e in good(p, b)["predictions"]]}, "k: 1.1"),
        (lambda p, b: {"predictions": good(p, b)["predictions"][:1]}, "an object a row"),
        (lambda p, b: {"error": "no"}, "must answer with 'predictions'"),
        (lambda p, b: [1], "must answer with 'predictions'"),
    ):
        with pytest.raises(LaunchError, match=words):
            graph_check.check(form, services, answering(wrong), rows)
    near = graph_check.by_hand(form, services, [{"x": 5}, {"x": 6}])
    assert [e.row for e in near] == [{"x": 6}], "a row on the line is left out"


def test_a_samples_values_are_sent_as_a_model_takes_them(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "s": ["a", None], "code": [1, 2], "f": [float("nan"), 1.5], "flag": [1, 0], "n": [True, False],
            "at": ["2013-01-01T10:00:00", None], "target": [1, 2],
        }
    ).with_columns(pl.col("at").str.to_datetime(), pl.col("s").cast(pl.Categorical))  # fmt: skip
    frame.write_parquet(tmp_path / "t.parquet")
    columns = {"s": "BYTES", "code": "BYTES", "f": "FP64", "flag": "BOOL", "n": "INT64", "at": "INT64", "other": "FP64"}
    assert json_rows(str(tmp_path / "t.parquet"), columns, 10) == [
        {"s": "a", "code": "1", "f": None, "flag": True, "n": 1, "at": "2013-01-01T10:00:00"},
        {"s": None, "code": "2", "f": 1.5, "flag": False, "n": 0, "at": None},
    ]
    assert len(json_rows(str(tmp_path / "t.parquet"), columns, 1)) == 1
    assert json_value(7, "BOOL") == 7


NODES = {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://a"}]}}


def router(nodes: Any, **status: Any) -> dict[str, Any]:
    arguments = ["--graph-json", json.dumps({"nodes": nodes, "resources": {}})]
    template = {"spec": {"containers": [{"name": "router", "args": arguments}]}}
    done = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": 2, "template": template},
        "status": {**done, **status},
    }


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (router(NODES), ""),
        (router({"root": {**NODES["root"], "steps": [{"serviceUrl": "http://a", "name": "x"}]}}), ""),
        (router({"root": {**NODES["root"], "steps": [{"serviceUrl": "http://b"}]}}), "not yet given the router these"),
        (router({"root": {**NODES["root"], "steps": []}}), "not yet given"),
        ({"spec": {"template": {"spec": {"containers": [{"args": ["--graph-json", "{"]}]}}}}, "not yet given"),
        ({}, "not yet given"),
        (router(NODES, observedGeneration=2), "2 of 2 router pods are new"),
        (router(NODES, updatedReplicas=1), "1 of 2 router pods are new, 1 old ones are left"),
        (router(NODES, replicas=3), "1 old ones are left"),
        (
            router(NODES, availableReplicas=1, conditions=[{"status": "False", "message": "no quota"}]),
            "1 of 2 router pods are available: no quota",
        ),
        (router(NODES, availableReplicas=None), "0 of 2 router pods are available"),
    ],
)
def test_a_rollout_on_a_cluster_is_done_when_no_older_router_is_left(deployment: dict[str, Any], words: str) -> None:
    assert words in (missing := rollout_missing(deployment, NODES))
    assert bool(words) is bool(missing)
