"""Pipelines and their versions in the UI's list."""

from __future__ import annotations

from pathlib import Path

from seaway.submission import upload
from seaway.submission.source import find
from tests.support.pipelines_api import PipelinesApi


def test_the_first_is_a_pipeline_and_what_follows_are_versions(api: PipelinesApi, tmp_path: Path) -> None:
    first = upload("train_and_serve", host=api.url, description="fares")
    assert (first.pipeline_id, first.new, first.url) == (
        "pipelines-1",
        True,
        f"{api.url}/#/pipelines/details/pipelines-1",
    )
    (sent,) = api.posted("pipelines/upload")
    assert sent.query == {"name": "train-and-serve", "description": "fares"}
    assert find("train_and_serve", tmp_path).read_bytes() in sent.body
    second = upload("train_and_serve", host=api.url, version="v2")
    assert (second.pipeline_id, second.version_id, second.new) == ("pipelines-1", "versions-1", True)
    assert second.url == f"{api.url}/#/pipelines/details/pipelines-1/version/versions-1"
    assert api.posted("pipelines/upload_version")[0].query == {"name": "v2", "pipelineid": "pipelines-1"}


def test_the_same_yaml_is_uploaded_once(api: PipelinesApi, small: Path) -> None:
    upload(small, host=api.url)
    made = upload(small, host=api.url)
    again = upload(small, host=api.url)
    assert made.version.startswith("one-")
    assert (made.new, again.new) == (True, False)
    assert again.version_id == made.version_id
    assert len(api.posted("pipelines/upload_version")) == 1


def test_a_namespace_is_passed_on(api: PipelinesApi, small: Path) -> None:
    api.multi_user = True
    upload(small, host=api.url, name="fares", namespace="team")
    assert api.posted("pipelines/upload")[0].query == {"name": "fares", "namespace": "team"}
    assert next(s for s in api.sent if s.path == "pipelines").query["namespace"] == "team"
