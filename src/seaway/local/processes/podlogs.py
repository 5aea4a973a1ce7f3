"""The `log` subresource of pods: which attempt's log a request means, and what part of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from seaway.local.api.http import Request
from seaway.local.api.status import ApiError, Object
from seaway.local.api.times import now, parse
from seaway.local.processes.attempt import Attempt
from seaway.local.processes.logs import Reading, read
from seaway.local.processes.supervisor import Supervisor


class PodLogs:
    """Answers for the containers of a supervisor."""

    def __init__(self, supervisor: Supervisor, stopping: asyncio.Event) -> None:
        self._supervisor, self._stopping = supervisor, stopping

    def read(self, pod: Object, request: Request) -> AsyncGenerator[bytes, None]:
        """The part of a container's log that the query asks for."""
        name, container = pod["metadata"]["name"], _container(pod, request.query.get("container", ""))
        previous = request.flag("previous")
        attempt = self._supervisor.attempt(pod, container, previous=previous)
        if attempt is None and previous:
            raise ApiError(400, f'previous terminated container "{container}" in pod "{name}" not found')
        if attempt is None:
            raise ApiError(
                400, f'container "{container}" in pod "{name}" is waiting to start: {_waiting(pod, container)}'
            )
        since = request.number("sinceSeconds")
        since_ns = None if since is None else int((now().timestamp() - since) * 1e9)
        if moment := request.query.get("sinceTime"):
            try:
                since_ns = int(parse(moment).timestamp() * 1e9)
            except ValueError:
                raise ApiError(400, f"sinceTime must be an RFC 3339 time, found {moment!r}") from None
        how = Reading(
            follow=request.flag("follow"),
            timestamps=request.flag("timestamps"),
            tail_lines=request.number("tailLines"),
            since_ns=since_ns,
            limit_bytes=request.number("limitBytes"),
        )
        return self._pieces(attempt, how)

    async def _pieces(self, attempt: Attempt, how: Reading) -> AsyncGenerator[bytes, None]:
        def ended() -> bool:
            return not attempt.running or self._stopping.is_set()

        # The shim makes the file within milliseconds of its start.
        while not attempt.log.exists():
            if ended():
                return
            await asyncio.sleep(0.005)
        async with contextlib.aclosing(read(attempt.folder, how, ended)) as parts:
            async for part in parts:
                yield part


def _container(pod: Object, asked: str) -> str:
    names = [one["name"] for field in ("containers", "initContainers") for one in pod["spec"].get(field) or []]
    if asked and asked not in names:
        raise ApiError(400, f"container {asked} is not valid for pod {pod['metadata']['name']}")
    if not asked and len(pod["spec"]["containers"]) > 1:
        listed = " ".join(one["name"] for one in pod["spec"]["containers"])
        raise ApiError(
            400, f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: [{listed}]"
        )
    return asked or str(names[0])


def _waiting(pod: Object, container: str) -> str:
    for one in (pod.get("status") or {}).get("containerStatuses") or []:
        if one["name"] == container and one["state"].get("waiting"):
            return str(one["state"]["waiting"].get("reason", ""))
    return "ContainerCreating"
