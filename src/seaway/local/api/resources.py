"""Answers for paths that name resources: get, list, watch, create, update, patch, delete, status and log."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from seaway.local.api import kinds, scale
from seaway.local.api.http import Answer, Request, Stream, json_answer
from seaway.local.api.kinds import Kind
from seaway.local.api.objects import Deletion, Objects, Options
from seaway.local.api.selectors import selector
from seaway.local.api.status import ApiError, Object
from seaway.local.api.tables import table
from seaway.local.api.watch import Watch, stream

_INTERACTIVE = ("exec", "attach", "portforward")
NO_SUCH = "the server could not find the requested resource"


class Logs(Protocol):
    """Who knows what pods wrote."""

    def read(self, pod: Object, request: Request) -> AsyncGenerator[bytes, None]:
        """A container's log, as the request's query asks for it; raises ApiError before the first part."""
        ...


@dataclass(frozen=True)
class Target:
    """What a path names."""

    kind: Kind
    namespace: str | None
    """None: of all namespaces, or of none."""
    name: str = ""
    sub: str = ""


def target(parts: list[str]) -> Target:
    """Read a path under /api or /apis; 404 when it names nothing that is served."""
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or (kind.namespaced != (namespace is not None) and (namespace or len(rest) > 1)):
        raise ApiError(404, NO_SUCH)
    sub = rest[2] if len(rest) > 2 else ""
    if kind.resource == "pods" and sub in _INTERACTIVE:
        raise ApiError(405, f"{sub} is not served here: a pod is a process of this machine, reach it as one")
    if sub and sub not in (*kind.subresources, "finalize"):
        raise ApiError(404, NO_SUCH)
    return Target(kind, namespace, rest[1] if len(rest) > 1 else "", sub)


class Resources:
    """Routes a request for a resource to the objects."""

    def __init__(self, objects: Objects, logs: Logs, stopping: asyncio.Event) -> None:
        self._objects, self._logs, self._stopping = objects, logs, stopping

    async def answer(self, request: Request, parts: list[str]) -> Answer | Stream:
        """The answer to one request."""
        if parts[:2] == ["apis", "authorization.k8s.io"]:
            return await _review(request, parts)
        found, method = target(parts), request.method
        if found.sub == "log":
            return Stream(self._logs.read(self._get(found), request), "text/plain")
        if found.sub == "scale":
            return await self._scale(request, found)
        if method == "GET":
            return self._read(request, found)
        if method == "POST" and not found.name:
            return await self._create(request, found)
        if method == "DELETE" and not found.sub:
            return await self._delete(request, found)
        if method in ("PUT", "PATCH") and found.name:
            return await (self._put if method == "PUT" else self._patch)(request, found)
        raise ApiError(405, "the server does not allow this method on the requested resource")

    def _get(self, found: Target) -> Object:
        return self._objects.store.get(found.kind.resource, found.namespace or "", found.name)

    def _read(self, request: Request, found: Target) -> Answer | Stream:
        as_table, store = "as=Table" in request.headers.get("accept", ""), self._objects.store
        include = request.query.get("includeObject", "Metadata")
        fields = request.query.get("fieldSelector", "")
        if found.name and not request.flag("watch"):
            item = self._get(found)
            if as_table:
                version = item["metadata"]["resourceVersion"]
                return json_answer(table(found.kind.resource, [item], version=version, include=include))
            return json_answer(item)
        if found.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={found.name}")))
        matches = selector(request.query.get("labelSelector", ""), fields, found.kind.selectable)
        if request.flag("watch"):
            watch = Watch(
                kind=found.kind,
                namespace=found.namespace,
                matches=matches,
                version=request.query.get("resourceVersion", ""),
                timeout_s=request.number("timeoutSeconds") or None,
                bookmarks=request.flag("allowWatchBookmarks"),
                initial=request.flag("sendInitialEvents"),
                as_table=as_table,
                include=include,
            )
            return Stream(stream(store, watch, self._stopping))
        items = [item for item in store.items(found.kind.resource, found.namespace) if matches(item)]
        items, metadata = _page(request, items, store.version)
        if as_table:
            answer = table(found.kind.resource, items, version=str(store.version), include=include)
            return json_answer(answer | {"metadata": metadata})
        kind = found.kind
        return json_answer(
            {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}
        )

    async def _create(self, request: Request, found: Target) -> Answer:
        if found.kind.namespaced and not found.namespace:
            raise ApiError(405, "a namespaced object is created under its namespace")
        manifest, options = await request.document(), _options(request)
        made = self._objects.create(found.kind, found.namespace or "", manifest, options)
        return self._written(request, found, made, 201, options)

    async def _put(self, request: Request, found: Target) -> Answer:
        manifest, options = await request.document(), _options(request)
        made = self._objects.update(found.kind, found.namespace or "", found.name, manifest, options, sub=found.sub)
        return self._written(request, found, made, 200, options)

    async def _patch(self, request: Request, found: Target) -> Answer:
        body, options = await request.document(), _options(request)
        place = (found.kind, found.namespace or "", found.name)
        if request.media == "application/apply-patch+yaml":
            if not isinstance(body, dict):
                raise ApiError(400, "what is applied must be an object")
            code, made = self._objects.apply(*place, body, options, sub=found.sub)
        else:
            code, made = 200, self._objects.patch(*place, request.media, body, options, sub=found.sub)
        return self._written(request, found, made, code, options)

    async def _scale(self, request: Request, found: Target) -> Answer:
        kind = found.kind
        if request.method == "GET":
            return json_answer(scale.read(kind, self._get(found)))
        if request.method not in ("PUT", "PATCH"):
            raise ApiError(405, "the server does not allow this method on the requested resource")
        body, options = await request.document(), _options(request)
        item = self._get(found)
        before = scale.read(kind, item)
        after = body if request.method == "PUT" else scale.patched(before, request.media, body)
        made = self._objects.update(kind, found.namespace or "", found.name, scale.scaled(kind, item, after), options)
        return json_answer(scale.read(kind, made))

    async def _delete(self, request: Request, found: Target) -> Answer:
        how = _deletion(request, await request.document())
        kind = found.kind
        if found.name:
            before = self._get(found)
            left = self._objects.delete(kind, found.namespace or "", found.name, how)
            if left is not None:
                return json_answer(left)
            details = {"name": found.name, "kind": kind.plural, "uid": before["metadata"]["uid"]}
            if kind.group:
                details["group"] = kind.group
            return json_answer(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            )
        fields = request.query.get("fieldSelector", "")
        matches = selector(request.query.get("labelSelector", ""), fields, kind.selectable)
        items = [one for one in self._objects.store.items(kind.resource, found.namespace) if matches(one)]
        for item in items:
            metadata = item["metadata"]
            self._objects.delete(kind, metadata.get("namespace", ""), metadata["name"], how)
        metadata = {"resourceVersion": str(self._objects.store.version)}
        return json_answer(
            {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}
        )

    def _written(self, request: Request, found: Target, item: Object, code: int, options: Options) -> Answer:
        if "as=Table" in request.headers.get("accept", ""):
            item = table(found.kind.resource, [item], version=item["metadata"].get("resourceVersion", ""))
        headers = {}
        if options.warnings:
            headers["warning"] = ", ".join(f'299 - "{_escaped(one)}"' for one in options.warnings)
        return json_answer(item, code, headers)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _options(request: Request) -> Options:
    validation = request.query.get("fieldValidation", "Warn")
    if validation not in ("Strict", "Warn", "Ignore"):
        raise ApiError(400, f"fieldValidation must be Strict, Warn or Ignore, found {validation!r}")
    dry_run = request.query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise ApiError(400, f"dryRun must be All, found {dry_run!r}")
    return Options(validation=validation, dry_run=bool(dry_run), manager=request.query.get("fieldManager", ""))


def _deletion(request: Request, body: Any) -> Deletion:
    body = body if isinstance(body, dict) else {}
    wanted = body.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
    if wanted not in ("Background", "Foreground", "Orphan"):
        raise ApiError(422, f"propagationPolicy must be Background, Foreground or Orphan, found {wanted!r}")
    if body.get("orphanDependents") or request.flag("orphanDependents"):
        wanted = "Orphan"
    preconditions, grace = body.get("preconditions") or {}, body.get("gracePeriodSeconds")
    if not isinstance(preconditions, dict) or not isinstance(grace, int | None):
        raise ApiError(400, "preconditions must be an object and gracePeriodSeconds a whole number")
    return Deletion(
        propagation=wanted,
        grace_s=request.number("gracePeriodSeconds") if grace is None else grace,
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
        dry_run=bool(body.get("dryRun") or request.query.get("dryRun")),
    )


def _page(request: Request, items: list[Object], version: int) -> tuple[list[Object], Object]:
    """Cut a list by ``limit`` and ``continue``; the token names the last object that was handed out."""
    metadata: Object = {"resourceVersion": str(version)}
    limit, token = max(0, request.number("limit") or 0), request.query.get("continue", "")
    if token:
        try:
            namespace, name = json.loads(base64.urlsafe_b64decode(token))
            items = [one for one in items if _place(one) > (namespace, name)]
        except (ValueError, TypeError):
            raise ApiError(400, "continue key is not valid") from None
    if limit and len(items) > limit:
        metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
        metadata["continue"] = base64.urlsafe_b64encode(json.dumps(_place(items[-1])).encode()).decode()
    return items, metadata


def _place(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


async def _review(request: Request, parts: list[str]) -> Answer:
    """One user, who may do everything."""
    await request.body()
    if request.method != "POST" or len(parts) != 4:
        raise ApiError(404, NO_SUCH)
    status: Object
    if parts[3] == "selfsubjectaccessreviews":
        kind, status = "SelfSubjectAccessReview", {"allowed": True}
    elif parts[3] == "selfsubjectrulesreviews":
        every = ["*"]
        rules = [{"verbs": every, "apiGroups": every, "resources": every}]
        kind, status = "SelfSubjectRulesReview", {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
    else:
        raise ApiError(404, NO_SUCH)
    found = {"kind": kind, "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {}, "status": status}
    return json_answer(found, 201)
