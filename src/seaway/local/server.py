"""The laptop's one process: store, controllers, processes and API, put together and served."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import uvicorn

from seaway.errors import LaptopError
from seaway.local import credentials
from seaway.local.api.app import Api
from seaway.local.api.kinds import BY_RESOURCE
from seaway.local.api.objects import Objects
from seaway.local.api.runtimes import install
from seaway.local.api.store import Change, Store
from seaway.local.api.trainingkinds import TRAINING_KINDS
from seaway.local.controllers.events import Recorder
from seaway.local.controllers.exits import tell
from seaway.local.controllers.garbage import Collector, Namespaces, expire_job, expire_training_job
from seaway.local.controllers.graphservices import graphs_of
from seaway.local.controllers.inferencegraph import InferenceGraphController
from seaway.local.controllers.inferenceservice import InferenceServiceController
from seaway.local.controllers.job import BACKOFF_S, JobController
from seaway.local.controllers.loop import Controlled, Loop, Reconciler
from seaway.local.controllers.pod import CRASH_DELAY_S
from seaway.local.controllers.s3credentials import s3_env
from seaway.local.controllers.trainingjob import TrainingJobController
from seaway.local.controllers.trainjob import TrainJobController
from seaway.local.forwarder import Forwarder
from seaway.local.home import Paths, write_private
from seaway.local.mounts import mounts
from seaway.local.ports import free_port, in_use, promised
from seaway.local.processes.cores import policy
from seaway.local.processes.environment import base_environment
from seaway.local.processes.podlogs import PodLogs
from seaway.local.processes.supervisor import Supervisor
from seaway.serving.eventloop import loop_factory

_log = logging.getLogger(__name__)
TIDY_S = 60.0
"""Between two looks for old events."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Delays that the real controllers fix and that tests shorten."""

    job_backoff_s: float = BACKOFF_S
    """After a job's first failed pod, doubling."""
    crash_delay_s: float = CRASH_DELAY_S
    """Before a crashed container's second restart, doubling."""

    @classmethod
    def from_environment(cls) -> Timing:
        """SEAWAY_BACKOFF_S shortens both."""
        text = os.environ.get("SEAWAY_BACKOFF_S")
        return cls(job_backoff_s=float(text), crash_delay_s=float(text)) if text else cls()


def run(paths: Paths, port: int, timing: Timing) -> None:
    """Serve until SIGTERM or SIGINT. Raises LaptopError when another laptop holds the home, or something the port."""
    os.umask(0o077)
    paths.make()
    with _locked(paths), _bound(port) as listener:
        token = credentials.ensure(paths, port)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(paths, port, token, listener, timing))


async def _serve(paths: Paths, port: int, token: str, listener: socket.socket, timing: Timing) -> None:
    store = Store(paths.database)
    objects = Objects(store)
    recorder = Recorder(objects)
    collector = Collector(objects)
    forwarder = Forwarder(store)
    reconcilers: dict[str, Reconciler] = {}
    base = base_environment(home=paths.root, kubeconfig=paths.kubeconfig)
    supervisor = Supervisor(
        objects,
        recorder,
        paths.pods,
        base,
        look=lambda pod: loop.look("pods", pod),
        crash_delay_s=timing.crash_delay_s,
        cpu_policy=policy(),
    )
    reconcilers["pods"] = supervisor
    reconcilers["namespaces"] = Namespaces(objects)
    reconcilers["jobs.batch"] = Controlled(
        JobController(backoff_s=timing.job_backoff_s), objects, recorder, after=lambda job: expire_job(objects, job)
    )
    for kind in TRAINING_KINDS:
        reconcilers[kind.resource] = Controlled(
            TrainingJobController(kind, crash_delay_s=timing.crash_delay_s),
            objects,
            recorder,
            free_port=lambda: free_port(promised(store)),
            in_use=in_use,
            after=lambda job: expire_training_job(objects, job),
            tell=tell,
        )
    install(objects)
    trainjobs = TrainJobController(store.find)
    reconcilers[trainjobs.resource] = Controlled(
        trainjobs, objects, recorder, free_port=lambda: free_port(promised(store))
    )
    services = InferenceServiceController(credentials=lambda service: s3_env(service, store.find))
    reconcilers[services.resource] = Controlled(
        services, objects, recorder, free_port=lambda: free_port(promised(store)), after=forwarder.follow
    )
    graphs = InferenceGraphController(store.find)
    reconcilers[graphs.resource] = Controlled(graphs, objects, recorder, free_port=lambda: free_port(promised(store)))
    assert set(reconcilers) <= set(BY_RESOURCE)
    loop = Loop(objects, reconcilers)

    def services_changed(change: Change) -> None:
        for graph in graphs_of(change, store):
            loop.look(graphs.resource, graph)

    store.listen(services_changed)
    supervisor.start()
    collector.collect()
    loop.start()
    stopping = asyncio.Event()
    api = Api(objects, PodLogs(supervisor, stopping), stopping, token=token, port=port, mounts=mounts(paths))
    server = _Server(uvicorn.Config(
        api, lifespan="off", log_config=None, access_log=False,
        ssl_keyfile=str(paths.key), ssl_certfile=str(paths.certificate), timeout_graceful_shutdown=1,
        server_header=False, ws="none", timeout_keep_alive=120,
    ))  # fmt: skip

    def end() -> None:
        stopping.set()
        server.should_exit = True

    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, end)
    started = {"pid": os.getpid(), "port": port, "started": time.time()}
    server.when_started = lambda: write_private(paths.record, json.dumps(started))
    tidying = asyncio.ensure_future(_tidy(recorder))
    try:
        await server.serve(sockets=[listener])
    finally:
        tidying.cancel()
        paths.record.unlink(missing_ok=True)
        await loop.stop()
        forwarder.stop()
        await supervisor.stop()
        store.close()
    _log.info("ended")


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the laptop ends its streams first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.when_started: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_started()


async def _tidy(recorder: Recorder) -> None:
    while True:
        await asyncio.sleep(TIDY_S)
        recorder.forget_old()


@contextlib.contextmanager
def _locked(paths: Paths) -> Iterator[IO[str]]:
    """The home's lock; the kernel lets go of it when the process ends, however it ends."""
    with paths.lock.open("a") as file:
        paths.lock.chmod(0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LaptopError(
                f"one laptop runs for each home, and one is running already for {paths.root}; "
                "use it, end it with `seaway down`, or set SEAWAY_HOME to another folder"
            ) from None
        paths.record.unlink(missing_ok=True)
        yield file


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise LaptopError(
                f"port {port} of 127.0.0.1 must be free for the laptop, but {_holder(port)} has it ({error.strerror}); "
                "end that program or choose another port with --port"
            ) from None
        yield listener


def _holder(port: int) -> str:
    """Who listens on a port, in words."""
    import psutil

    for one in psutil.net_connections("tcp"):
        if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid:
            with contextlib.suppress(psutil.Error):
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return "another program"
