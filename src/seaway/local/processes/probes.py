"""Readiness and liveness probes of running containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seaway.local.api.status import Object
from seaway.local.controllers.events import Recorder
from seaway.local.processes.attempt import Attempt

FIRST_S = 0.05
"""Between two tries until the first success: a laptop's user waits for it."""


class Prober:
    """Asks every running container that has probes.

    Args:
        changed: called with a pod when an answer changed.
    """

    def __init__(self, recorder: Recorder, changed: Callable[[Object], object]) -> None:
        self._recorder, self._changed = recorder, changed
        self._tasks: dict[Attempt, list[asyncio.Task[None]]] = {}

    def watch(self, pod: Object, container: Object, attempt: Attempt) -> None:
        """Begin to ask; a container without a readiness probe is ready at once."""
        tasks = []
        if probe := container.get("readinessProbe"):
            tasks.append(asyncio.ensure_future(self._ready(pod, container, probe, attempt)))
        else:
            attempt.ready = True
        if probe := container.get("livenessProbe"):
            tasks.append(asyncio.ensure_future(self._alive(pod, container, probe, attempt)))
        if tasks:
            self._tasks[attempt] = tasks

    def forget(self, attempt: Attempt) -> None:
        """Ask no more."""
        for task in self._tasks.pop(attempt, []):
            task.cancel()

    def stop(self) -> None:
        """Ask nobody any more."""
        for attempt in list(self._tasks):
            self.forget(attempt)

    async def _ready(self, pod: Object, container: Object, probe: Object, attempt: Attempt) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        failures, successes = 0, 0
        while True:
            why = await ask(container, probe)
            failures, successes = (failures + 1, 0) if why else (0, successes + 1)
            if attempt.ready and failures >= probe.get("failureThreshold", 3):
                attempt.ready = False
                self._recorder.record(pod, "Warning", "Unhealthy", f"Readiness probe failed: {why}", component="laptop")
                self._changed(pod)
            elif not attempt.ready and successes >= probe.get("successThreshold", 1):
                attempt.ready = True
                self._changed(pod)
            await asyncio.sleep(probe.get("periodSeconds", 10) if attempt.ready else FIRST_S)

    async def _alive(self, pod: Object, container: Object, probe: Object, attempt: Attempt) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        failures = 0
        while True:
            why = await ask(container, probe)
            failures = failures + 1 if why else 0
            if failures >= probe.get("failureThreshold", 3):
                text = f"Liveness probe failed: {why}"
                self._recorder.record(pod, "Warning", "Unhealthy", text, component="laptop")
                attempt.terminate()
                await asyncio.sleep(pod["spec"].get("terminationGracePeriodSeconds", 30))
                attempt.kill("Error", text)
                return
            await asyncio.sleep(probe.get("periodSeconds", 10))


async def ask(container: Object, probe: Object) -> str:
    """Ask once; empty when the answer is good, else what was wrong."""
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
            if "httpGet" in probe:
                return await _http(container, probe["httpGet"])
            if "tcpSocket" in probe:
                return await _tcp(container, probe["tcpSocket"])
            if "exec" in probe:
                return await _exec(probe["exec"].get("command") or [])
    except TimeoutError:
        return f"no answer within {probe.get('timeoutSeconds', 1)} s"
    except (OSError, ValueError, TypeError) as error:
        return str(error)
    return ""


def _port(container: Object, action: Object) -> int:
    wanted = action.get("port", 0)
    for one in container.get("ports") or []:
        if one.get("name") == wanted:
            return int(one["containerPort"])
    return int(wanted)


async def _tcp(container: Object, action: Object) -> str:
    _, writer = await asyncio.open_connection("127.0.0.1", _port(container, action))
    writer.close()
    return ""


async def _http(container: Object, action: Object) -> str:
    port, path = _port(container, action), action.get("path") or "/"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        headers = "".join(f"{one['name']}: {one['value']}\r\n" for one in action.get("httpHeaders") or [])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n".encode())
        parts = (await reader.readline()).split()
    finally:
        writer.close()
    if len(parts) < 2 or not parts[1].isdigit():
        return "the answer is not HTTP"
    code = int(parts[1])
    return "" if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"


async def _exec(command: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return (
        "" if process.returncode == 0 else output.decode(errors="replace")[-512:] or f"exit code {process.returncode}"
    )
