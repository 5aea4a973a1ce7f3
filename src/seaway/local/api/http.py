"""Requests and answers over bare ASGI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from seaway.local.api.status import ApiError, Object

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as a real API server."""

YAML_DEPTH = 100
"""Levels of nesting in a YAML body."""


class Request:
    """One request: path, query (last value wins), headers and body."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: dict[str, str] = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._receive = receive

    def flag(self, name: str) -> bool:
        """A boolean of the query; Python clients write True."""
        return self.query.get(name, "").lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        """A whole number of the query, None when absent; 400 when it is something else."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise ApiError(400, f"{name} must be a whole number, found {text!r}") from None

    @property
    def media(self) -> str:
        """The body's media type."""
        return self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()

    async def body(self) -> bytes:
        """The whole body; 413 beyond BODY_LIMIT."""
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "the client went away")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > BODY_LIMIT:
                raise ApiError(413, f"Request entity too large: limit is {BODY_LIMIT}")
            if not message.get("more_body"):
                return b"".join(parts)

    async def document(self) -> Any:
        """The body read as JSON, YAML or Kubernetes' protobuf; None when empty."""
        body = await self.body()
        if not body:
            return None
        if body.startswith(b"k8s\0"):
            from seaway.local.api import protobuf

            return protobuf.decode(body)
        if self.media == "application/vnd.kubernetes.protobuf":
            raise ApiError(400, "a protobuf body begins with k8s and a zero byte")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            if "yaml" not in self.media:
                raise ApiError(400, f"error decoding the body as JSON: {error}") from None
        # In a thread: a long text takes seconds, and nobody else would be answered meanwhile.
        return await asyncio.to_thread(_from_yaml, body)

    async def gone(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _from_yaml(body: bytes) -> Any:
    import yaml

    try:
        depth = 0
        for event in yaml.parse(body, Loader=yaml.SafeLoader):
            # A few hundred bytes of aliases can stand for terabytes, and deep nesting takes time that grows with its
            # square.
            if isinstance(event, yaml.AliasEvent):
                raise ApiError(400, "error decoding the body as YAML: aliases are not read here; write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > YAML_DEPTH:
                raise ApiError(400, f"error decoding the body as YAML: it is nested deeper than {YAML_DEPTH} levels")
        # Through JSON, so that dates become text and keys strings, as in any object.
        return orjson.loads(orjson.dumps(yaml.safe_load(body), option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError, ValueError, TypeError) as error:
        raise ApiError(400, f"error decoding the body as YAML: {error}") from None


class Answer:
    """A whole answer."""

    def __init__(
        self, code: int, body: bytes, media: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.code, self.body = code, body
        self.headers = {"content-type": media, "cache-control": "no-cache, private"} | (headers or {})

    async def send(self, send: Send) -> None:
        """Write it."""
        headers = self.headers | {"content-length": str(len(self.body))}
        await send({"type": "http.response.start", "status": self.code, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(value: Object | None, code: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """An object as JSON."""
    return Answer(code, orjson.dumps(value), headers=headers)


class Stream:
    """An answer that is written as it comes; ``parts`` is closed when the client leaves."""

    def __init__(self, parts: AsyncGenerator[bytes, None], media: str = "application/json") -> None:
        self.parts, self.media = parts, media

    async def send(self, send: Send) -> None:
        """Write until the parts end."""
        headers = _encoded({"content-type": self.media, "cache-control": "no-cache, private"})
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async with contextlib.aclosing(self.parts) as parts:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
