from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes import client, dynamic, watch
from kubernetes.client.exceptions import ApiException

from tests.support.laptop import TestLaptop, job
from tests.support.waiting import until


def ask(
    laptop: TestLaptop,
    path: str,
    *,
    token: str | None = None,
    host: str = "",
    method: str = "GET",
    body: Any = None,
    media: str = "application/json",
) -> tuple[int, dict[str, Any]]:
    """One bare request; ``token`` None sends the right one."""
    context = ssl.create_default_context(cafile=str(laptop.home / "laptop.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", laptop.port, context=context, timeout=10)
    headers = {"Host": host or f"127.0.0.1:{laptop.port}", "Content-Type": media}
    if token != "":
        headers["Authorization"] = f"Bearer {laptop.token if token is None else token}"
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_token_everything_is_401(laptop: TestLaptop, token: str) -> None:
    for path in ("/api/v1/pods", "/version", "/apis", "/openapi/v3"):
        code, status = ask(laptop, path, token=token)
        assert (code, status["reason"], status["kind"]) == (401, "Unauthorized", "Status")


def test_another_host_name_is_refused_whatever_the_token(laptop: TestLaptop) -> None:
    code, status = ask(laptop, "/api/v1/pods", host="evil.example:443")
    assert code == 421
    assert "Host header must be one of" in status["message"]
    assert ask(laptop, "/api/v1/pods", host=f"localhost:{laptop.port}")[0] == 200


def test_it_listens_on_loopback_alone(laptop: TestLaptop) -> None:
    import psutil

    assert laptop.process is not None
    sockets = [one for one in psutil.net_connections("inet") if one.pid == laptop.process.pid]
    assert {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_an_unknown_field_is_refused_told_or_dropped_as_asked(laptop: TestLaptop) -> None:
    body = job("strict", "true", bogus=1)
    path = "/apis/batch/v1/namespaces/default/jobs?dryRun=All&fieldValidation="
    code, status = ask(laptop, path + "Strict", method="POST", body=body)
    assert code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in status["message"]
    assert ask(laptop, path + "Ignore", method="POST", body=body)[0] == 201


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parallelism": "3"}, "cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type int32"),
        ({"template": []}, "cannot unmarshal array into Go struct field"),
    ],
)
def test_a_wrong_type_is_400(laptop: TestLaptop, change: dict[str, Any], words: str) -> None:
    body = job("typed", "true")
    body["spec"] |= change
    code, status = ask(laptop, "/apis/batch/v1/namespaces/default/jobs", method="POST", body=body)
    assert code == 400
    assert words in status["message"]


@pytest.mark.parametrize(
    ("manifest", "field", "words"),
    [
        (job("UPPER", "true"), "metadata.name", "RFC 1123"),
        (
            job("always", "true", policy="Always"),
            "spec.template.spec.restartPolicy",
            'valid values: "OnFailure", "Never"',
        ),
        (job("minus", "true", parallelism=-1), "spec.parallelism", "must be greater than or equal to 0"),
        (job("noimage", "true", container={"image": ""}), "spec.template.spec.containers[0].image", "Required value"),
    ],
)
def test_a_broken_rule_is_422_with_its_field(laptop: TestLaptop, manifest: Any, field: str, words: str) -> None:
    code, status = ask(laptop, "/apis/batch/v1/namespaces/default/jobs", method="POST", body=manifest)
    assert (code, status["reason"]) == (422, "Invalid")
    causes = {one["field"]: one["message"] for one in status["details"]["causes"]}
    assert words in causes[field]


def test_a_namespace_that_is_not_there_is_404(api: client.ApiClient) -> None:
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(api).create_namespaced_config_map("nowhere", {"metadata": {"name": "x"}})
    assert caught.value.status == 404
    assert 'namespaces \\"nowhere\\" not found' in caught.value.body


def test_the_same_name_again_is_409_alreadyexists(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map("default", {"metadata": {"name": "twice"}})
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_config_map("default", {"metadata": {"name": "twice"}})
    assert json.loads(caught.value.body)["reason"] == "AlreadyExists"


def test_an_update_of_an_older_version_is_409_conflict(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    first = core.create_namespaced_config_map("default", {"metadata": {"name": "raced"}, "data": {"n": "0"}})
    first.data = {"n": "1"}
    core.replace_namespaced_config_map("raced", "default", first)
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("raced", "default", first)
    assert json.loads(caught.value.body)["reason"] == "Conflict"


def test_status_changes_through_its_subresource_only(api: client.ApiClient) -> None:
    batch = client.BatchV1Api(api)
    made = batch.create_namespaced_job("default", job("status", "sleep", "60", suspend=True))
    until(lambda: batch.read_namespaced_job("status", "default").status.conditions)
    batch.patch_namespaced_job("status", "default", {"status": {"succeeded": 9}})
    assert batch.read_namespaced_job("status", "default").status.succeeded is None
    found = batch.patch_namespaced_job_status("status", "default", {"status": {"failed": 3}})
    assert (found.status.failed, found.metadata.generation) == (3, made.metadata.generation)
    batch.delete_namespaced_job("status", "default")


def test_lists_come_in_pages(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    for number in range(5):
        core.create_namespaced_config_map("default", {"metadata": {"name": f"page-{number}", "labels": {"p": "1"}}})
    names, token = [], None
    while True:
        found = core.list_namespaced_config_map("default", label_selector="p=1", limit=2, _continue=token)
        names.append([one.metadata.name for one in found.items])
        token = found.metadata._continue
        if not token:
            break
    assert names == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]


def test_a_watch_tells_every_change_once_and_in_order(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    version = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "seen", "labels": {"w": "1"}}})
    core.patch_namespaced_config_map("seen", "default", {"data": {"a": "1"}})
    core.patch_namespaced_config_map("seen", "default", {"metadata": {"labels": {"w": None}}})
    core.delete_namespaced_config_map("seen", "default")
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, "default", label_selector="w=1", resource_version=version, timeout_seconds=1
    )
    # The third change takes the label away, so for this watch the object is gone then.
    assert [event["type"] for event in stream] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_a_forgotten_version_is_410(api: client.ApiClient) -> None:
    stream = watch.Watch().stream(
        client.CoreV1Api(api).list_namespaced_config_map, "default", resource_version="99999999", timeout_seconds=5
    )
    with pytest.raises(ApiException) as caught:
        list(stream)
    assert caught.value.status == 410


def test_the_dynamic_client_discovers_and_applies(api: client.ApiClient) -> None:
    found = dynamic.DynamicClient(api)
    resource = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dyn"}, "data": {"a": "1"}}
    resource.server_side_apply(body, namespace="default", field_manager="me", force_conflicts=True)
    assert resource.get(name="dyn", namespace="default").data.a == "1"
    assert found.resources.get(api_version="serving.kserve.io/v1beta1", kind="InferenceService").namespaced
    resource.delete(name="dyn", namespace="default")


def test_a_finalizer_holds_a_deleted_object(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map("default", {"metadata": {"name": "held", "finalizers": ["a.b/c"]}})
    core.delete_namespaced_config_map("held", "default")
    assert core.read_namespaced_config_map("held", "default").metadata.deletion_timestamp is not None
    core.patch_namespaced_config_map("held", "default", {"metadata": {"finalizers": None}})
    with pytest.raises(ApiException):
        core.read_namespaced_config_map("held", "default")


def test_the_kserve_client_creates_waits_and_deletes(laptop: TestLaptop) -> None:
    kserve = pytest.importorskip("kserve", reason="needs the package kserve", exc_type=ImportError)
    found = kserve.KServeClient(config_file=str(laptop.kubeconfig))
    container = client.V1Container(
        name="kserve-container", image="x", command=["python", "-m", "http.server", "--bind", "127.0.0.1", "$(PORT)"]
    )
    service = kserve.V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=client.V1ObjectMeta(name="sdk", namespace="default"),
        spec=kserve.V1beta1InferenceServiceSpec(predictor=kserve.V1beta1PredictorSpec(containers=[container])),
    )
    found.create(service, namespace="default")
    found.wait_isvc_ready("sdk", namespace="default", timeout_seconds=10, polling_interval=0.2)
    found.delete("sdk", namespace="default")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/v1/nonsense", "GET"), ("/apis/no.such/v1/things", "GET"), ("/x", "GET"), ("/apis/batch/v2", "GET")],
)
def test_what_is_not_served_is_404_as_a_status(laptop: TestLaptop, path: str, method: str) -> None:
    code, status = ask(laptop, path, method=method)
    assert (code, status["kind"], status["reason"]) == (404, "Status", "NotFound")


@pytest.mark.parametrize("body", [[], "text", 7, {"metadata": []}, {"metadata": {"name": 5}}])
def test_nonsense_bodies_are_4xx(laptop: TestLaptop, body: Any) -> None:
    for path in ("/api/v1/namespaces/default/configmaps", "/apis/batch/v1/namespaces/default/jobs"):
        code, status = ask(laptop, path, method="POST", body=body)
        assert 400 <= code < 500, status


@settings(max_examples=60, deadline=None)
@given(
    media=st.sampled_from(["merge-patch+json", "strategic-merge-patch+json", "json-patch+json", "apply-patch+yaml"]),
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["metadata", "spec", "template", "containers", "name", "env", "$patch"]), inner
            )
        ),
        max_leaves=6,
    ),
)
def test_no_patch_is_answered_with_5xx(laptop: TestLaptop, media: str, body: Any) -> None:
    if ask(laptop, "/apis/batch/v1/namespaces/default/jobs/fuzzed")[0] == 404:
        ask(laptop, "/apis/batch/v1/namespaces/default/jobs", method="POST", body=job("fuzzed", "true", suspend=True))
    path = "/apis/batch/v1/namespaces/default/jobs/fuzzed?fieldManager=f&dryRun=All"
    code, status = ask(laptop, path, method="PATCH", body=body, media=f"application/{media}")
    assert code < 500, status


def with_spec(**changes: Any) -> dict[str, Any]:
    return job("refused", "true", **changes)


def with_metadata(**changes: Any) -> dict[str, Any]:
    manifest = job("refused", "true")
    manifest["metadata"] |= changes
    return manifest


@pytest.mark.parametrize(
    ("manifest", "code", "said"),
    [
        (with_spec(parallelism=2**31), 400, "cannot unmarshal number 2147483648 into Go struct field JobSpec"),
        (with_spec(activeDeadlineSeconds=2**63), 400, "of type int64"),
        (with_metadata(deletionTimestamp="soon"), 400, 'parsing time "soon"'),
        (with_metadata(ownerReferences=[{}]), 422, "metadata.ownerReferences[0].uid"),
        (with_metadata(name="n" * 64), 422, "spec.template.labels"),
        (with_metadata(labels={"k" * 64: "v"}), 422, "at most 63"),
        (with_metadata(annotations={"k": "v" * 2**18}), 422, "Too long"),
    ],
)
def test_what_would_harm_later_is_refused_at_once(
    laptop: TestLaptop, manifest: dict[str, Any], code: int, said: str
) -> None:
    found, status = ask(laptop, "/apis/batch/v1/namespaces/default/jobs", method="POST", body=manifest)
    assert found == code
    assert said in status["message"]


def test_a_condition_without_a_type_is_refused(laptop: TestLaptop) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    assert ask(laptop, jobs, method="POST", body=job("conditioned", "true", suspend=True))[0] == 201
    code, status = ask(
        laptop,
        f"{jobs}/conditioned/status",
        method="PATCH",
        body={"status": {"conditions": [{"status": "True"}]}},
        media="application/merge-patch+json",
    )
    assert (code, status["details"]["causes"][0]["field"]) == (422, "status.conditions[0].type")
    assert ask(laptop, jobs)[0] == 200


@pytest.mark.parametrize("query", ["limit=-5", "continue=NQ==", "continue=WzEsMl0=", "continue=W10="])
def test_odd_pages_are_no_fault_of_the_server(laptop: TestLaptop, query: str) -> None:
    assert ask(laptop, f"/api/v1/namespaces?{query}")[0] in (200, 400)


def test_a_field_that_cannot_be_selected_is_refused_not_matched_by_nothing(laptop: TestLaptop) -> None:
    code, status = ask(laptop, "/api/v1/pods?fieldSelector=status.phas=Running")
    assert (code, status["message"]) == (400, "field label not supported: status.phas")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x]\n"
        + "".join(f"{n}: &{n} [{','.join(['*' + m] * 8)}]\n" for m, n in zip("abcdefghi", "bcdefghij", strict=True)),
        "[" * 100_000,
    ],
    ids=["aliases", "deep"],
)
def test_yaml_that_would_fill_the_memory_is_refused(laptop: TestLaptop, text: str) -> None:
    context = ssl.create_default_context(cafile=str(laptop.home / "laptop.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", laptop.port, context=context, timeout=10)
    headers = {"Authorization": f"Bearer {laptop.token}", "Content-Type": "application/yaml"}
    connection.request("POST", "/api/v1/namespaces", body=text, headers=headers)
    answer = connection.getresponse()
    assert (answer.status, b"as YAML" in answer.read()) == (400, True)
    connection.close()


def test_a_pod_with_endless_grace_can_be_deleted(laptop: TestLaptop) -> None:
    pods = "/api/v1/namespaces/default/pods"
    spec = {
        "terminationGracePeriodSeconds": 2**62,
        "containers": [{"name": "c", "image": "i", "command": ["sleep", "100"]}],
    }
    assert ask(laptop, pods, method="POST", body={"metadata": {"name": "patient"}, "spec": spec})[0] == 201
    assert ask(laptop, f"{pods}/patient", method="DELETE")[0] == 200
    until(lambda: ask(laptop, f"{pods}/patient")[0] == 404, what="the pod is gone")


def test_exec_says_why_it_is_not_served(laptop: TestLaptop) -> None:
    code, status = ask(laptop, "/api/v1/namespaces/default/pods/any/exec?command=ls", method="POST")
    assert code == 405
    assert "a pod is a process of this machine" in status["message"]
