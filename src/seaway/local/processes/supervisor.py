"""Does for pods what the kubelet does: starts and stops their processes and says how they are.

What should happen is decided by the pure functions of `controllers.pod`; here are the effects.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from seaway.local.api.kinds import BY_RESOURCE
from seaway.local.api.objects import Objects
from seaway.local.api.status import Object
from seaway.local.api.store import Change
from seaway.local.api.times import now
from seaway.local.controllers import pod as pods
from seaway.local.controllers.base import condition
from seaway.local.controllers.events import Recorder
from seaway.local.controllers.scheduling import container_cpu, crowded, insufficient
from seaway.local.processes import volumes
from seaway.local.processes.attempt import SHUTDOWN_S, Attempt, discard, sweep
from seaway.local.processes.cores import SHARE, WAIT, Cores
from seaway.local.processes.devices import devices
from seaway.local.processes.environment import ContainerError, launch
from seaway.local.processes.probes import Prober
from seaway.local.processes.quantity import quantity

_log = logging.getLogger(__name__)
RETRY_S = 2.0
"""Between two tries to start a container whose configuration is not there yet."""
MEMORY_S = 0.5
"""Between two looks at the memory of containers that have a limit."""


class Supervisor:
    """All attempts of all containers of this laptop.

    Args:
        folder: holds one folder a pod, by uid.
        base: the environment every container begins with.
        look: puts a pod on the reconcile loop's list.
        crash_delay_s: wait before a crashed container's second restart; see `controllers.pod`.
        cpu_policy: whether pods share the cores or wait for free ones; see `processes.cores`.
    """

    def __init__(
        self,
        objects: Objects,
        recorder: Recorder,
        folder: Path,
        base: dict[str, str],
        *,
        look: Callable[[Object], None],
        crash_delay_s: float = pods.CRASH_DELAY_S,
        cpu_policy: str = SHARE,
    ) -> None:
        self._objects, self._recorder, self._folder, self._base = objects, recorder, folder, base
        self._look, self._crash_delay_s = look, crash_delay_s
        self._capacity, self._cores = devices(), Cores(sorted(os.sched_getaffinity(0)))
        self._waits = cpu_policy == WAIT
        self._kind = BY_RESOURCE["pods"]
        self._attempts: dict[str, dict[str, list[Attempt]]] = {}
        self._held: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._prober = Prober(recorder, self._changed)
        self._stopping = False
        self._watching: asyncio.Task[None] | None = None
        objects.store.listen(self._removed)
        if self._waits:
            objects.store.listen(self._freed)

    def start(self) -> None:
        """Take over what an earlier laptop left running, and remove what belongs to no pod any more."""
        known = {pod["metadata"]["uid"]: pod for pod in self._objects.store.items("pods")}
        for folder in self._folder.iterdir():
            if folder.name not in known:
                sweep(folder.name)
                volumes.remove(folder)
                discard(folder)
                continue
            pod = known[folder.name]
            for container in (path for path in folder.iterdir() if path.name != volumes.FOLDER):
                places = [path for path in container.iterdir() if path.name.isdecimal()]
                for place in sorted(places, key=lambda path: int(path.name)):
                    self._adopt(pod, container.name, Attempt(place))
        self._watching = asyncio.ensure_future(self._watch_memory())

    def reconcile(self, pod: Object) -> float | None:
        """One look at one pod."""
        uid = pod["metadata"]["uid"]
        seen = self._seen(pod)
        plan = pods.plan(pod, seen, crash_delay_s=self._crash_delay_s)
        if plan.gone:
            self._write_status(pod)
            self._objects.finish(
                self._kind, self._objects.store.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            )
            return None
        for attempt in self._running(uid):
            if plan.kill:
                attempt.kill()
            elif plan.stop:
                attempt.terminate()
        due = [] if plan.due_s is None else [plan.due_s]
        for name in plan.start:
            wait = self._held.get((uid, name), ("", "", 0.0))[2] - time.monotonic()
            if wait > 0:
                due.append(wait)
            else:
                self._launch(pod, name)
        self._write_status(pod)
        due += [RETRY_S for name in plan.start if (uid, name) in self._held]
        return min(due, default=None)

    def attempt(self, pod: Object, container: str, *, previous: bool = False) -> Attempt | None:
        """A container's latest attempt, or the one before."""
        found = self._attempts.get(pod["metadata"]["uid"], {}).get(container, [])
        where = 2 if previous else 1
        return found[-where] if len(found) >= where else None

    async def stop(self) -> None:
        """End all containers: SIGTERM, then SIGKILL after SHUTDOWN_S. They count as ended by the shutdown."""
        self._stopping = True
        self._prober.stop()
        if self._watching is not None:
            self._watching.cancel()
        running = [one for uid in self._attempts for one in self._running(uid)]
        for attempt in running:
            attempt.say_why(pods.SHUTDOWN, "the laptop was ended")
            attempt.terminate()
        deadline = time.monotonic() + SHUTDOWN_S
        while any(one.running for one in running):
            if time.monotonic() > deadline:
                for attempt in running:
                    if attempt.running:
                        attempt.kill()
                deadline += SHUTDOWN_S
            await asyncio.sleep(0.02)
        for folder in self._folder.iterdir():
            volumes.remove(folder)  # they appear again with the next container

    def _launch(self, pod: Object, name: str) -> None:
        uid, container = pod["metadata"]["uid"], _container(pod, name)
        attempts = self._attempts.setdefault(uid, {}).setdefault(name, [])
        number = attempts[-1].number + 1 if attempts else 0
        attempt = Attempt(self._folder / uid / name / str(number))
        try:
            what = launch(pod, container, self._objects.store.find, self._base)
            if why := volumes.place(self._folder / uid, pod, container):
                raise ContainerError("CreateContainerConfigError", why)
        except (KeyError, TypeError, ValueError) as error:
            text = f"the container's manifest cannot be read: {error!r}"
            self._hold(pod, name, ContainerError("CreateContainerConfigError", text))
            return
        except ContainerError as error:
            if error.reason == "StartError":
                attempt.fail(error.reason, error.message)
                attempts.append(attempt)
                self._recorder.record(pod, "Warning", "Failed", f"Error: {error.message}", component="laptop")
            else:
                self._hold(pod, name, error)
            return
        self._held.pop((uid, name), None)
        self._spawn(pod, container, attempt, what.argv, what.env, what.cwd)
        attempts.append(attempt)
        del attempts[:-2]
        self._recorder.record(pod, "Normal", "Started", f"Started container {name}", component="laptop")

    def _spawn(
        self, pod: Object, container: Object, attempt: Attempt, argv: list[str], env: dict[str, str], cwd: str
    ) -> None:
        cores = self._cores.take((pod["metadata"]["uid"], container["name"]), container_cpu(container))
        attempt.spawn(argv=argv, env=env, cwd=cwd, cores=cores)
        self._follow(pod, container["name"], attempt)

    def _follow(self, pod: Object, name: str, attempt: Attempt) -> None:
        """Be told when the attempt ends."""
        asyncio.get_running_loop().add_reader(attempt.pidfd, self._ended, pod, name, attempt, attempt.pidfd)
        self._prober.watch(pod, _container(pod, name), attempt)

    def _adopt(self, pod: Object, name: str, attempt: Attempt) -> None:
        attempts = self._attempts.setdefault(pod["metadata"]["uid"], {}).setdefault(name, [])
        if not attempt.adopt():
            # The folder was made, then the laptop ended: the reconcile loop starts it in this same folder. Should a
            # shim be on its way all the same, one of the two claims the folder and the other ends.
            return
        attempts.append(attempt)
        del attempts[:-2]
        if attempt.running:
            held = (pod["metadata"]["uid"], name)
            self._cores.keep(held, attempt.cores(), container_cpu(_container(pod, name)))
            self._follow(pod, name, attempt)

    def _ended(self, pod: Object, name: str, attempt: Attempt, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        if not attempt.ended():
            self._follow(pod, name, attempt)
            return
        self._prober.forget(attempt)
        self._cores.release(pod["metadata"]["uid"], name)
        if not self._changed(pod) and not self._running(pod["metadata"]["uid"]):
            self._forget(pod["metadata"]["uid"])

    def _changed(self, pod: Object) -> bool:
        """Look at a pod again; False when it is no more."""
        metadata = pod["metadata"]
        current = self._objects.store.find("pods", metadata["namespace"], metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            return False
        self._look(current)
        return True

    def _removed(self, change: Change) -> None:
        if change.resource != "pods" or change.type != "DELETED":
            return
        running = self._running(change.object["metadata"]["uid"])
        for attempt in running:
            attempt.kill()
        if not running:
            self._forget(change.object["metadata"]["uid"])

    def _freed(self, change: Change) -> None:
        """Look again at the pods that wait, once one that had cores has none any more."""
        over = (change.object.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if change.resource == "pods" and (change.type == "DELETED" or over):
            for pod in self._objects.store.items("pods"):
                if condition(pod, "PodScheduled").get("status") == "False":
                    self._look(pod)

    def _forget(self, uid: str) -> None:
        self._attempts.pop(uid, None)
        self._held = {key: held for key, held in self._held.items() if key[0] != uid}
        volumes.remove(self._folder / uid)
        discard(self._folder / uid)

    def _hold(self, pod: Object, name: str, error: ContainerError) -> None:
        key = (pod["metadata"]["uid"], name)
        reason = "ImagePullBackOff" if error.reason == "ErrImagePull" and key in self._held else error.reason
        if key not in self._held or self._held[key][1] != error.message:
            self._recorder.record(pod, "Warning", "Failed", f"Error: {error.message}", component="laptop")
        self._held[key] = (reason, error.message, time.monotonic() + RETRY_S)

    def _running(self, uid: str) -> list[Attempt]:
        return [one for found in self._attempts.get(uid, {}).values() for one in found if one.running]

    def _seen(self, pod: Object) -> pods.Seen:
        uid = pod["metadata"]["uid"]
        runs = {name: tuple(_run(one) for one in found) for name, found in self._attempts.get(uid, {}).items() if found}
        waiting = {name: held[:2] for (owner, name), held in self._held.items() if owner == uid}
        lacking = insufficient(pod, self._capacity)
        if self._waits and not lacking and uid not in self._attempts:
            everyone = self._objects.store.items("pods")
            lacking = crowded(pod, everyone, self._attempts.__contains__, len(self._cores.numbers))
        return pods.Seen(now=now(), runs=runs, waiting=waiting, lacking=lacking)

    def _write_status(self, pod: Object) -> None:
        metadata = pod["metadata"]
        current = self._objects.store.find("pods", metadata["namespace"], metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            return
        found = pods.status(current, self._seen(current), crash_delay_s=self._crash_delay_s)
        for one in found.get("containerStatuses") or []:
            _explain(one, _container(pod, one["name"]), self._attempts.get(metadata["uid"], {}).get(one["name"], []))
        written = self._objects.set_status(self._kind, current, found)
        placed = condition(written, "PodScheduled")
        if placed.get("status") == "False" and condition(current, "PodScheduled") != placed:
            self._recorder.record(pod, "Warning", "FailedScheduling", placed["message"], component="default-scheduler")

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_S)
            for pod in self._objects.store.items("pods"):
                for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
                    text = ((container.get("resources") or {}).get("limits") or {}).get("memory")
                    attempt = self.attempt(pod, container["name"])
                    if text is None or attempt is None or not attempt.running:
                        continue
                    used, limit = attempt.resident_bytes(), quantity(text)
                    if used > limit:
                        message = f"the container used {used:,} bytes of memory, its limit is {int(limit):,}"
                        attempt.kill("OOMKilled", message)
                        self._recorder.record(pod, "Warning", "OOMKilled", message, component="laptop")


def _container(pod: Object, name: str) -> Object:
    everything = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return next((one for one in everything if one["name"] == name), {"name": name})


def _run(attempt: Attempt) -> pods.Run:
    if attempt.exit is None:
        return pods.Run(number=attempt.number, started=pods.moment(attempt.started_ns), ready=attempt.ready)
    return pods.Run(
        number=attempt.number,
        started=pods.moment(attempt.exit.started_ns),
        finished=pods.moment(attempt.exit.finished_ns),
        exit_code=attempt.exit.code,
        signal=attempt.exit.signal,
        reason=attempt.exit.reason,
        message=attempt.exit.message,
    )


def _explain(status: Object, container: Object, attempts: list[Attempt]) -> None:
    """TerminationMessagePolicy FallbackToLogsOnError: the last log lines of a run that failed are its message."""
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return
    ended = [one for one in attempts if one.exit is not None and one.exit.code and not one.exit.message]
    for field in ("state", "lastState"):
        said = status[field].get("terminated")
        if said and not said.get("message") and ended:
            said["message"] = ended[-1].tail()
