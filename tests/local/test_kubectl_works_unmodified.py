from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.laptop import TestLaptop
from tests.support.waiting import until

pytestmark = pytest.mark.needs_kubectl

JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  backoffLimit: {limit}
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: busybox
        command: ["sh", "-c", "{script}"]
"""


def manifest(name: str, script: str = "true", limit: int = 0) -> str:
    return JOB.format(name=name, script=script, limit=limit)


def test_apply_get_logs_wait_and_delete_a_job(laptop: TestLaptop) -> None:
    text = manifest("line", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert "job.batch/line created" in laptop.kubectl("apply", "-f", "-", stdin=text)
    until(lambda: "Running" in laptop.kubectl("get", "pods", "-l", "job-name=line"))
    assert laptop.kubectl("logs", "-f", "job/line") == "1\n2\n3\n"
    assert "condition met" in laptop.kubectl("wait", "--for=condition=complete", "job/line", "--timeout=20s")
    header, row = laptop.kubectl("get", "job", "line").splitlines()
    assert header.split() == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row.split()[:3] == ["line", "Complete", "1/1"]
    assert "line" in laptop.kubectl("get", "jobs", "-o", "name")
    assert 'job.batch "line" deleted' in laptop.kubectl("delete", "job", "line")
    assert "not found" in laptop.kubectl("get", "job", "line", check=False)
    until(lambda: "No resources" in laptop.kubectl("get", "pods", "-l", "job-name=line"))


def test_apply_again_changes_what_changed(laptop: TestLaptop) -> None:
    laptop.kubectl("apply", "-f", "-", stdin=manifest("changed", "sleep 60", limit=1))
    assert "unchanged" in laptop.kubectl("apply", "-f", "-", stdin=manifest("changed", "sleep 60", limit=1))
    assert "configured" in laptop.kubectl("apply", "-f", "-", stdin=manifest("changed", "sleep 60", limit=3))
    found = json.loads(laptop.kubectl("get", "job", "changed", "-o", "json"))
    assert (found["spec"]["backoffLimit"], found["metadata"]["generation"]) == (3, 2)
    refused = laptop.kubectl("apply", "-f", "-", stdin=manifest("changed", "sleep 61", limit=3), check=False)
    assert "spec.template: Invalid value" in refused
    assert "field is immutable" in refused
    laptop.kubectl("delete", "job", "changed")


def test_a_typing_mistake_is_refused(laptop: TestLaptop) -> None:
    said = laptop.kubectl(
        "apply", "-f", "-", stdin=manifest("typo").replace("backoffLimit", "backofLimit"), check=False
    )
    assert 'strict decoding error: unknown field "spec.backofLimit"' in said


def test_describe_shows_events(laptop: TestLaptop) -> None:
    laptop.kubectl("apply", "-f", "-", stdin=manifest("told", "exit 1"))
    laptop.kubectl("wait", "--for=condition=failed", "job/told", "--timeout=20s")
    said = laptop.kubectl("describe", "job", "told")
    assert "SuccessfulCreate" in said
    assert "BackoffLimitExceeded" in said
    assert "Started container main" in laptop.kubectl("describe", "pod", "-l", "job-name=told")
    assert "BackoffLimitExceeded" in laptop.kubectl("events", "--for", "job/told")


def test_get_watch_streams_changes(laptop: TestLaptop) -> None:
    watching = subprocess.Popen(
        ["kubectl", "get", "jobs", "-w"], env=laptop.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        laptop.kubectl("apply", "-f", "-", stdin=manifest("watched"))
        assert watching.stdout is not None
        for line in watching.stdout:
            if line.startswith("watched") and "Complete" in line:
                break
        else:
            raise AssertionError("the watch ended without the job's end")
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("job.spec.backoffLimit", "<integer>"),
        ("isvc.spec.predictor.model.modelFormat", "name"),
        ("pod.spec", "containers"),
    ],
)
def test_explain_knows_the_fields(laptop: TestLaptop, path: str, words: str) -> None:
    assert words in laptop.kubectl("explain", path)


def test_create_run_label_patch_and_the_rest(laptop: TestLaptop) -> None:
    laptop.kubectl("create", "namespace", "tools")
    laptop.kubectl("create", "configmap", "conf", "--from-literal=a=1", "-n", "tools")
    laptop.kubectl("create", "secret", "generic", "word", "--from-literal=p=s3", "-n", "tools")
    assert laptop.kubectl("get", "secret", "word", "-n", "tools", "-o", "jsonpath={.data.p}") == "czM="
    laptop.kubectl("label", "configmap", "conf", "x=y", "-n", "tools")
    assert "conf" in laptop.kubectl("get", "cm", "-A", "-l", "x in (y,z)", "--show-labels")
    laptop.kubectl("patch", "configmap", "conf", "-n", "tools", "-p", '{"data":{"b":"2"}}')
    assert laptop.kubectl("get", "cm", "conf", "-n", "tools", "-o", "jsonpath={.data}") == '{"a":"1","b":"2"}'
    laptop.kubectl("run", "one", "--image=x", "--restart=Never", "-n", "tools", "--command", "--", "echo", "hello")
    laptop.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/one", "-n", "tools", "--timeout=20s")
    assert laptop.kubectl("logs", "one", "-n", "tools") == "hello\n"
    laptop.kubectl("create", "job", "direct", "--image=x", "-n", "tools", "--", "true")
    laptop.kubectl("wait", "--for=condition=complete", "job/direct", "-n", "tools", "--timeout=20s")
    assert "yes" in laptop.kubectl("auth", "can-i", "create", "jobs")
    laptop.kubectl("delete", "namespace", "tools", "--timeout=20s")
    assert "not found" in laptop.kubectl("get", "namespace", "tools", check=False)


def test_server_side_apply_diff_and_dry_run(laptop: TestLaptop) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {a: '1', b: '2'}\n"
    assert "(server dry run)" in laptop.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert "serverside-applied" in laptop.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    assert "+  a: " in laptop.kubectl("diff", "-f", "-", stdin=text.replace("a: '1'", "a: '9'"), check=False)
    laptop.kubectl("apply", "--server-side", "-f", "-", stdin=text.replace("a: '1', ", ""))
    assert laptop.kubectl("get", "cm", "ssa", "-o", "jsonpath={.data}") == '{"b":"2"}'
    laptop.kubectl("delete", "cm", "ssa")


def test_foreground_and_orphan_deletion(laptop: TestLaptop) -> None:
    laptop.kubectl("apply", "-f", "-", stdin=manifest("front", "sleep 60"))
    until(lambda: "Running" in laptop.kubectl("get", "pods", "-l", "job-name=front"))
    laptop.kubectl("delete", "job", "front", "--cascade=foreground", "--timeout=20s")
    assert "No resources" in laptop.kubectl("get", "pods", "-l", "job-name=front")
    laptop.kubectl("apply", "-f", "-", stdin=manifest("left", "sleep 60"))
    until(lambda: "Running" in laptop.kubectl("get", "pods", "-l", "job-name=left"))
    laptop.kubectl("delete", "job", "left", "--cascade=orphan")
    assert "Running" in laptop.kubectl("get", "pods", "-l", "job-name=left")
    laptop.kubectl("delete", "pods", "-l", "job-name=left", "--force")
    until(lambda: "No resources" in laptop.kubectl("get", "pods", "-l", "job-name=left"))
