"""The ranks of one training: how they meet, agree, and tell each other numbers.

In: the environment of any controller, TFJob's TF_CONFIG above all; see `seaway.training.world`. Out: `Ranks`, with a
tf.distribute.MultiWorkerMirroredStrategy for gradients and plain connections through rank 0 for all else: those are
exact in float64, take part in no collective's order, and tell at once who is lost.

TensorFlow's own server listens on all interfaces, whatever address it is told, and asks nobody who he is: on a machine
that others reach, let a firewall or a NetworkPolicy keep the ranks' ports to the ranks. All other sockets of ranks on
one machine stay on its loopback.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seaway.training import checkpoints, peers
from seaway.training.cores import cores
from seaway.training.needs import installed
from seaway.training.peers import Peers
from seaway.training.ranks.connected import Ranks, connected
from seaway.training.spec import TrainSpec
from seaway.training.world import World, world

_NO_PROXY = "no_grpc_proxy"


class TensorFlowRanks(Ranks):
    """All ranks, with the strategy that carries their gradients."""

    strategy: Any = None
    """The tf.distribute.MultiWorkerMirroredStrategy of all ranks, once TensorFlow runs."""

    def abort(self, why: str) -> None:
        """End what any thread waits for in TensorFlow; no gradient is exchanged after it."""
        if self.strategy is None:  # it may be about to load, and must not be touched
            return
        from tensorflow import errors
        from tensorflow.python.eager import context

        context.context().abort_collective_ops(errors.UNAVAILABLE, why)


@contextmanager
def joined(spec: TrainSpec) -> Iterator[Peers]:
    """All ranks of this training, from meeting to farewell; in a world of one nobody is waited for.

    A training that has ended already, and whose package was not written, needs no other rank either.

    Raises:
        InputError: the environment does not hold, or the ranks were told different things.
        DeadlineError: a rank did not come in time.
        PeerLostError: a rank went away.
    """
    found = world(os.environ)
    if found.place.world_size == 1 or checkpoints.has_ended(spec):
        _set_threads(cores())
        yield peers.Alone(found.place)
        return
    with connected(found, spec, TensorFlowRanks, versions=versions, of_peers=_of_peers) as ranks:
        _set_threads(cores(neighbours=peers.neighbours(ranks)))
        with found.place.span("start tensorflow"):
            ranks.strategy = _strategy(found, ranks.servers)
        yield ranks


def distribution() -> str:
    """The name under which TensorFlow is installed here."""
    return installed("tensorflow", "tensorflow-cpu", "tf-nightly")


def versions() -> dict[str, str]:
    """Of what must be alike on all ranks."""
    return {"tensorflow": importlib.metadata.version(distribution()), "keras": importlib.metadata.version("keras")}


def _strategy(found: World, servers: tuple[str, ...]) -> Any:
    """The strategy of all ranks; TensorFlow must not have computed anything before.

    All ranks become workers of one kind: the kinds that a TFJob tells apart mean nothing to gradients.
    """
    _past_proxies(servers)
    import tensorflow as tf

    _see_one_gpu(tf)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(servers)}),
        task_type="worker",
        task_id=found.place.rank,
        rpc_layer="grpc",
    )
    # between CPUs there is the ring alone; between GPUs NCCL is chosen where it is there
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    if threading.current_thread() is threading.main_thread():
        # TensorFlow takes SIGTERM for a word of warning, and goes on
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


def _past_proxies(servers: tuple[str, ...]) -> None:
    """Let TensorFlow reach the ranks themselves: gRPC takes a proxy for HTTP for its own, and would wait for ever."""
    hosts = dict.fromkeys(server.rpartition(":")[0] for server in servers)
    before = os.environ.get(_NO_PROXY) or os.environ.get("no_proxy") or ""
    os.environ[_NO_PROXY] = ",".join([*filter(None, [before]), *hosts])


def _see_one_gpu(tf: Any) -> None:
    """A rank computes on one GPU: of several, the LOCAL_RANK-th."""
    if len(gpus := tf.config.list_physical_devices("GPU")) > 1:
        tf.config.set_visible_devices(gpus[int(os.environ.get("LOCAL_RANK", "0")) % len(gpus)], "GPU")


def _set_threads(share: int) -> None:
    """Of one operator; read by TensorFlow when it begins to compute. OMP_NUM_THREADS wins."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS") or str(share))


def _of_peers(error: Exception) -> bool | None:
    """Whether an error of TensorFlow's comes from another rank."""
    if not type(error).__module__.startswith("tensorflow"):
        return False
    return True if type(error).__name__ in ("UnavailableError", "AbortedError", "CancelledError") else None
