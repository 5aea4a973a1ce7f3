"""Who cannot be reached, lets nobody in, or is busy: what a person reads, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seaway.errors import InputError, SubmissionError
from seaway.submission import server, submit, transport
from seaway.submission.server import address, connect
from tests.support.laptop import free_port
from tests.support.pipelines_api import PipelinesApi


@pytest.fixture
def said(small: Path) -> Callable[..., str]:
    """The error that a person reads who submits to a host."""

    def ask(host: str, **access: str) -> str:
        with pytest.raises(SubmissionError) as caught:
            submit(small, host=host, **access)  # type: ignore[arg-type]
        return str(caught.value)

    return ask


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://kf.example.com/pipeline/", "https://kf.example.com/pipeline"),
        ("https://kf.example.com/_/pipeline/?ns=me#/runs", "https://kf.example.com/pipeline"),
        ("http://localhost:8080/apis/v2beta1", "http://localhost:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1:8888", "http://127.0.0.1:8888"),
        ("ml-pipeline.kubeflow.svc.cluster.local:8888", "http://ml-pipeline.kubeflow.svc.cluster.local:8888"),
        ("ml-pipeline.kubeflow.svc:8888", "http://ml-pipeline.kubeflow.svc:8888"),
        (" kf.example.com/pipeline ", "https://kf.example.com/pipeline"),
    ],
)
def test_hosts_are_taken_as_people_write_them(given: str, url: str) -> None:
    assert address(given) == url


def test_the_host_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="host must be the URL of Kubeflow Pipelines, found none"):
        address("")
    for bad in ("ftp://x", "https://", "http://x:notaport"):
        with pytest.raises(InputError, match="host must be a URL"):
            address(bad)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert address("") == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "https://b")
    assert address("") == "https://b"
    monkeypatch.setenv("SEAWAY_KFP_HOST", "https://a")
    assert address("") == "https://a"


def test_nobody_there(said: Callable[..., str]) -> None:
    refused = said(f"http://127.0.0.1:{free_port()}")
    assert "could not find Kubeflow Pipelines at http://127.0.0.1" in refused
    assert "the connection was refused; is it up?" in refused
    assert "its name is unknown; check the spelling" in said("http://nowhere.invalid")


def test_tls_that_fails_is_said(api: PipelinesApi, said: Callable[..., str]) -> None:
    assert "TLS failed" in said(api.url.replace("http:", "https:"))


@pytest.mark.parametrize("status", [401, 500])
def test_who_gives_no_token_is_told_how(api: PipelinesApi, status: int, said: Callable[..., str]) -> None:
    # a multi-user Kubeflow answers 500 to a request without an identity
    text = "Internal error: Unauthenticated: Request header error: there is no user identity header."
    api.fail("GET", "healthz", status, text, code=13, times=4)
    found = said(api.url)
    assert "--token-file or SEAWAY_KFP_TOKEN" in found
    assert "SEAWAY_KFP_COOKIES" in found
    assert len(api.sent) == 1  # asking again does not help


def test_a_token_comes_by_argument_environment_or_file(
    api: PipelinesApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Callable[..., str], small: Path
) -> None:
    api.token = "secret"
    assert "it answered 401" in said(api.url)
    submit(small, host=api.url, token="secret")
    monkeypatch.setenv("SEAWAY_KFP_TOKEN", "secret\n")
    submit(small, host=api.url)
    monkeypatch.delenv("SEAWAY_KFP_TOKEN")
    file = tmp_path / "token"
    file.write_text("secret")
    connected = connect(api.url, token_file=str(file))
    file.write_text("rotated")
    api.token = "rotated"
    assert connected.experiment("mine")
    with pytest.raises(InputError, match="token_file must be a file that can be read, found none"):
        connect(api.url, token_file=str(tmp_path / "nope"))
    assert "secret" not in said(f"http://127.0.0.1:{free_port()}", token="secret")


def test_a_pods_own_token_goes_to_its_cluster_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    monkeypatch.setattr(server, "POD_TOKEN", tmp_path / "token")
    for host, sent in (("http://ml-pipeline.kubeflow.svc:8888", "Bearer secret"), ("https://kf.example.com", None)):
        client, _ = server.kfp_client(host)
        assert client._existing_config.get_api_key_with_prefix("authorization") == sent


def test_cookies_are_sent(api: PipelinesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(api.url, cookies="authservice_session=abc")
    monkeypatch.setenv("SEAWAY_KFP_COOKIES", "other=1")
    connect(api.url)
    assert [s.headers.get("cookie") for s in api.sent] == ["authservice_session=abc", "other=1"]


def test_who_may_not_is_told_by_whom_to_be_let_in(api: PipelinesApi, said: Callable[..., str]) -> None:
    api.fail("POST", "runs", 403, "User 'me' is not authorized with reason", code=7)
    found = said(api.url)
    assert "could not create the run" in found
    assert "User 'me' is not authorized" in found
    assert "check the namespace and the token" in found


def test_what_the_server_finds_wrong_is_said(api: PipelinesApi, said: Callable[..., str]) -> None:
    api.fail("POST", "runs", 400, "Failed to create a new run: InvalidInputError: parameter x", code=3)
    assert "InvalidInputError: parameter x; mend what it names" in said(api.url)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("<html><title>Log in to dex</title></html>", "text/html", "found text/html 'Log in to dex'"),
        ("hello", "text/plain", "found text/plain 'hello'"),
        ("[1]", "application/json", "found application/json '[1]'"),
        ("", "", "found an answer without a type ''"),
    ],
)
def test_what_is_no_kubeflow_pipelines_is_recognised(
    api: PipelinesApi, body: str, kind: str, words: str, said: Callable[..., str]
) -> None:
    api.fail("GET", "healthz", 200, body=body, content_type=kind)
    found = said(api.url)
    assert words in found
    assert "the host ends in /pipeline" in found
    api.fail("GET", "healthz", 404, body="<html><b>nginx</b> says no</html>", content_type="text/html")
    assert "it answered 404, nginx says no; check the host" in said(api.url)


def test_a_busy_server_is_asked_again_for_what_changes_nothing(
    api: PipelinesApi, said: Callable[..., str], small: Path
) -> None:
    api.fail("GET", "healthz", 500, times=2)
    api.fail("GET", "experiments", 503)
    api.fail("GET", "experiments", 429, times=2)
    submit(small, host=api.url)
    assert len([s for s in api.sent if s.method == "GET"]) == 7
    api.fail("GET", "healthz", 500, "still broken", times=4)
    assert "it answered 500, still broken; try again in a while" in said(api.url)


def test_a_run_is_never_sent_twice(api: PipelinesApi, said: Callable[..., str]) -> None:
    api.fail("POST", "runs", 500, "lost the database")
    found = said(api.url)
    assert "lost the database; try again in a while; what was sent may have been taken" in found
    assert len(api.posted("runs")) == 1


def test_a_slow_server_is_given_up(
    api: PipelinesApi, monkeypatch: pytest.MonkeyPatch, said: Callable[..., str]
) -> None:
    monkeypatch.setattr(transport, "READ_S", 0.2)
    api.fail("GET", "healthz", 200, body=json.dumps({"multi_user": False}), after_s=30)
    found = said(api.url)
    assert "it did not answer in time; check the network and the proxy" in found
    assert "may have been taken" not in found
    api.fail("POST", "runs", 200, body="{}", after_s=30)
    assert "it did not answer in time; check the network and the proxy; what was sent may have been" in said(api.url)
    assert len(api.posted("runs")) == 1


def test_a_namespace_is_needed_where_there_are_many_users(api: PipelinesApi, tmp_path: Path, small: Path) -> None:
    api.multi_user = True
    with pytest.raises(InputError, match="namespace must be given, that of your profile"):
        submit(small, host=api.url)
    submit(small, host=api.url, namespace="team")
    assert api.things["experiments"][0]["namespace"] == "team"
    assert next(s for s in api.sent if s.path == "experiments").query["namespace"] == "team"
    context = tmp_path / "kfp" / "context.json"
    assert not context.exists()
    context.parent.mkdir()
    context.write_text(json.dumps({"namespace": "remembered"}))
    assert connect(api.url).namespace == "remembered"
    context.write_text("{")
    with pytest.raises(InputError, match=r"context.json: must be JSON that kfp wrote, it is not: delete it"):
        connect(api.url)


def test_a_namespace_is_left_out_where_there_is_one_user(api: PipelinesApi, tmp_path: Path, small: Path) -> None:
    with pytest.raises(InputError, match="namespace must be left out, found 'team'"):
        submit(small, host=api.url, namespace="team")
    (tmp_path / "kfp").mkdir()
    (tmp_path / "kfp" / "context.json").write_text(json.dumps({"namespace": "of another server"}))
    submit(small, host=api.url)
    assert "namespace" not in api.things["experiments"][0] or not api.things["experiments"][0]["namespace"]


def test_the_uis_address_may_differ_from_the_apis(
    api: PipelinesApi, monkeypatch: pytest.MonkeyPatch, small: Path
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kf.example.com/pipeline/")
    run = submit(small, host=api.url)
    assert run.url == f"https://kf.example.com/pipeline/#/runs/details/{run.id}"
