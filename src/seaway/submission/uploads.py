"""Pipelines in the UI's list: a first upload, then versions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Unpack

from seaway.submission.package import opened
from seaway.submission.recurring import EQUALS
from seaway.submission.server import Access, connect


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A pipeline that is on the server."""

    pipeline_id: str
    version_id: str
    """Empty for the version that a pipeline begins with."""
    name: str
    version: str
    url: str
    new: bool
    """Whether it was uploaded just now; the same YAML is not uploaded twice."""


def upload(
    pipeline: Any,
    *,
    host: str = "",
    name: str = "",
    version: str = "",
    description: str = "",
    namespace: str = "",
    **access: Unpack[Access],
) -> Upload:
    """Upload a pipeline, or a version of it if there is one of that name.

    Args:
        pipeline: as for `seaway.submission.submit`.
        host: as for `seaway.submission.submit`.
        name: of the pipeline; empty for its own.
        version: of it; empty for its name and the first digits of the YAML's SHA-256.
        description: shown in the UI.
        namespace: as for `seaway.submission.submit`.
        access: as for `seaway.submission.submit`.

    Raises:
        InputError: there is no such pipeline.
        SubmissionError: the server cannot be reached, or refuses.
    """
    with opened(pipeline) as package:
        name = name or package.spec.name
        version = version or f"{name}-{hashlib.sha256(package.path.read_bytes()).hexdigest()[:10]}"
        server = connect(host, namespace=namespace, **access)
        client, place = server.client, {"namespace": server.namespace} if server.namespace else {}
        found = server.ask("look for the pipeline", client.list_pipelines, filter=_called(name), **place).pipelines
        if not found:
            made = server.ask(
                "upload the pipeline",
                client.upload_pipeline,
                str(package.path),
                pipeline_name=name,
                description=description or None,
                **place,
            )
            url = server.url(f"pipelines/details/{made.pipeline_id}")
            return Upload(pipeline_id=made.pipeline_id, version_id="", name=name, version="", url=url, new=True)
        pipeline_id = found[0].pipeline_id
        known = server.ask(
            "look for the version", client.list_pipeline_versions, pipeline_id, filter=_called(version)
        ).pipeline_versions
        made = (
            known[0]
            if known
            else server.ask(
                "upload the version",
                client.upload_pipeline_version,
                str(package.path),
                version,
                pipeline_id=pipeline_id,
                description=description or None,
            )
        )
    version_id = made.pipeline_version_id
    return Upload(
        pipeline_id=pipeline_id,
        version_id=version_id,
        name=name,
        version=version,
        url=server.url(f"pipelines/details/{pipeline_id}/version/{version_id}"),
        new=not known,
    )


def _called(name: str) -> str:
    return json.dumps({"predicates": [{"operation": EQUALS, "key": "display_name", "stringValue": name}]})
