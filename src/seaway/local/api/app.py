"""The ASGI application: who may ask, and which part answers."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping

from seaway.local.api import discovery, openapi
from seaway.local.api.http import Answer, Application, Receive, Request, Scope, Send, Stream, json_answer
from seaway.local.api.objects import Objects
from seaway.local.api.resources import Logs, Resources
from seaway.local.api.status import ApiError

_log = logging.getLogger(__name__)
_OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
"""Answered without a token: they say only that the laptop is up."""
_V2_MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class Api:
    """Everything the laptop serves.

    Args:
        objects: the objects.
        logs: answers for pods' logs.
        stopping: set when open streams must end.
        token: the bearer token that every request must carry.
        port: of 127.0.0.1, for the Host header.
        mounts: path prefix to another ASGI application, behind the same token.
    """

    def __init__(
        self,
        objects: Objects,
        logs: Logs,
        stopping: asyncio.Event,
        *,
        token: str,
        port: int,
        mounts: Mapping[str, Application] | None = None,
    ) -> None:
        self._resources = Resources(objects, logs, stopping)
        self._token = token.encode()
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._mounts = dict(mounts or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            self._admit(request)
            for prefix, application in self._mounts.items():
                if request.path.startswith(prefix):
                    await application(scope, receive, send)
                    return
            answer = await self._answer(request)
        except ApiError as error:
            answer = json_answer(error.status(), error.code)
        except RecursionError:
            answer = json_answer(ApiError(400, "the body is nested too deeply").status(), 400)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            answer = json_answer(ApiError(500, "Internal error occurred: see the laptop's log").status(), 500)
        if isinstance(answer, Stream):
            await self._stream(answer, request, send)
        else:
            await answer.send(send)

    def _admit(self, request: Request) -> None:
        # A page in a browser can make names of its own resolve to 127.0.0.1; it cannot choose the Host header.
        host = request.headers.get("host", "")
        if host not in self._hosts:
            shown = ", ".join(sorted(self._hosts))
            raise ApiError(421, f"the Host header must be one of {shown}, found {host!r}", reason="BadRequest")
        if request.path in _OPEN_PATHS:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1", "replace")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token):
            raise ApiError(401, "Unauthorized")

    async def _answer(self, request: Request) -> Answer | Stream:
        path = request.path.rstrip("/") or "/"
        if path in _OPEN_PATHS:
            return Answer(200, b"ok", "text/plain")
        if path == "/version":
            return json_answer(discovery.version())
        if path.startswith("/openapi/"):
            return _openapi(path)
        parts = path.strip("/").split("/")
        if parts[0] not in ("api", "apis"):
            raise ApiError(404, "the server could not find the requested resource")
        found = _discover(parts, request.headers.get("accept", ""))
        return found if found is not None else await self._resources.answer(request, parts)

    async def _stream(self, stream: Stream, request: Request, send: Send) -> None:
        """Write until either side ends; the generator is closed at once when the client goes."""
        writing = asyncio.ensure_future(stream.send(send))
        leaving = asyncio.ensure_future(request.gone())
        await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        writing.cancel()
        results = await asyncio.gather(writing, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                _log.error("%s %s broke off", request.method, request.path, exc_info=result)


def _openapi(path: str) -> Answer:
    if path == "/openapi/v3":
        return json_answer(openapi.root())
    if path == "/openapi/v2":
        # Clients before 1.29 ask for it and are content with an empty document.
        return Answer(200, b"", _V2_MEDIA)
    document = openapi.document(path.removeprefix("/openapi/v3/"))
    if document is None:
        raise ApiError(404, "the server could not find the requested resource")
    return Answer(200, document, headers={"cache-control": "public, immutable"})


def _discover(parts: list[str], accept: str) -> Answer | None:
    if len(parts) == 1:
        for version in ("v2", "v2beta1"):
            if f"g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" in accept.replace(" ", ""):
                body = discovery.aggregated(core=parts[0] == "api", version=version)
                media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                return json_answer(body, headers={"content-type": media})
        return json_answer(discovery.api_versions() if parts[0] == "api" else discovery.group_list())
    found = None
    if parts[0] == "api" and len(parts) == 2:
        found = discovery.resource_list("", parts[1])
    elif parts[0] == "apis" and len(parts) == 3:
        found = discovery.resource_list(parts[1], parts[2])
    elif parts[0] == "apis" and len(parts) == 2:
        found = discovery.group(parts[1])
    else:
        return None
    if found is None:
        raise ApiError(404, "the server could not find the requested resource")
    return json_answer(found)
