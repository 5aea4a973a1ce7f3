from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.object_store import ObjectStore, running_object_store


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An object store with the bucket ``box``, and this process as a user of it."""
    from seaway.storage.s3_filesystem import BoundedS3FileSystem

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with running_object_store() as store:
        store.create_bucket("box")
        for name, value in store.env.items():
            monkeypatch.setenv(name, value)
        # file systems are kept in a process by their options, and credentials are none of these
        BoundedS3FileSystem.clear_instance_cache()
        yield store
        BoundedS3FileSystem.clear_instance_cache()
