"""The file system of S3 stores: s3fs, with an end to every request.

s3fs passes on botocore's time-outs, which count only what is read: a store that takes a request and never reads its
body, or never says that the body may come (HTTP's 100-continue), would be waited for without end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from s3fs import S3FileSystem

_SLOWEST = 100_000
"""Bytes a second below which an upload counts as stalled."""
_PAUSES_S = 3.0
"""For the pauses between tries."""


class BoundedS3FileSystem(S3FileSystem):  # type: ignore[misc]
    """`s3fs.S3FileSystem` whose requests end."""

    retries = 2  # around botocore's own tries; five, as it is there, would take minutes

    async def _call_s3(self, method: str, *options: Any, **arguments: Any) -> Any:
        """One request with its tries.

        Raises:
            TimeoutError: there is no answer in the time that the body's size allows.
        """
        config = self.config_kwargs
        tries = config["retries"]["total_max_attempts"]
        limit_s = tries * (config["connect_timeout"] + config["read_timeout"]) + _PAUSES_S
        body = arguments.get("Body")
        if isinstance(body, bytes | bytearray | memoryview):
            limit_s += len(body) / _SLOWEST
        try:
            async with asyncio.timeout(limit_s):
                return await super()._call_s3(method, *options, **arguments)
        except TimeoutError as e:
            raise TimeoutError(str(e) or f"no answer to {method} within {limit_s:.0f} s") from None
