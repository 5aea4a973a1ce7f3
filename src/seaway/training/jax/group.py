"""The processes of one training: how they meet, agree, form JAX's group, and tell each other numbers.

In: the environment of any controller; see `seaway.training.world`. Out: JAX's devices of all processes, whose
gradients are summed by gloo between CPUs and by NCCL between GPUs; and plain connections through rank 0 for all else,
which are exact in float64 and tell at once who is lost.

JAX's coordination service serves to form the group and is left then: where a process is lost it ends the others by
SIGABRT with a stack of C++, some at once, some after minutes, whatever it is told. The ranks' own pulse says which
rank it is, and ends them in order.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from seaway.training import checkpoints, peers
from seaway.training.jax import flags
from seaway.training.peers import Peers
from seaway.training.place import Place
from seaway.training.ranks import pulse
from seaway.training.ranks.connected import Ranks, connected
from seaway.training.spec import EXIT_PEER, TrainSpec
from seaway.training.world import World, is_loopback, world

_FORM_S = 300
"""For processes that have met to form JAX's group: they may load libraries at different speeds."""
_OF_PEERS = ("gloo", "nccl", "coordination service", "connection reset by peer")
"""Words in errors that come from another process; they have no class of their own."""


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
        flags.set_before_jax_loads()
        yield peers.Alone(found.place)
        return
    with connected(found, spec, Ranks, versions=versions, of_peers=_of_peers) as ranks:
        flags.set_before_jax_loads(neighbours=peers.neighbours(ranks), grouped=True)
        with found.place.span("form the group"):
            _form(found, ranks)
        yield ranks


def versions() -> dict[str, str]:
    """Of what must be alike on all ranks."""
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")}


def _form(found: World, ranks: Peers) -> None:
    """Let JAX's processes find each other, and connect them for good."""
    import jax

    # its handler would take SIGTERM from ours
    jax.config.update("jax_enable_preemption_service", False)
    loopback = is_loopback(found.host)
    local = os.environ.get("LOCAL_RANK")
    with _stdout_to_stderr(), _gloo_on(found.host if loopback else ""), _abort_means_a_lost_peer(found.place):
        jax.distributed.initialize(
            coordinator_address=found.address,
            num_processes=found.place.world_size,
            process_id=found.place.rank,
            # with torchrun each of a replica's processes has a GPU, else one process has all
            local_device_ids=None if local is None or "PET_NPROC_PER_NODE" not in os.environ else [int(local)],
            # else it asks the cluster's API, though it has been told everything
            cluster_detection_method="deactivate",
            initialization_timeout=_FORM_S,
            heartbeat_timeout_seconds=_FORM_S,
            shutdown_timeout_seconds=_FORM_S,
            # by itself it listens on all of the machine's addresses
            coordinator_bind_address=found.address if loopback else None,
        )
        from seaway.training.jax.devices import Devices

        Devices(connected=True).connect()
        ranks.barrier()  # nobody leaves before all are connected
        jax.distributed.shutdown()


@contextmanager
def _gloo_on(host: str) -> Iterator[None]:
    """Within the block let gloo listen at ``host``, or where the machine's name leads if it is empty."""
    from jax._src import xla_bridge

    library = xla_bridge._jax
    before = library.make_gloo_tcp_collectives
    if host:
        library.make_gloo_tcp_collectives = functools.partial(before, hostname=host)
    try:
        yield
    finally:
        library.make_gloo_tcp_collectives = before


@contextmanager
def _abort_means_a_lost_peer(place: Place) -> Iterator[None]:
    """Within the block SIGABRT ends the process as a lost peer does: for the while that JAX's service is there.

    Python hears a signal only between two of its instructions, which an abort does not wait for: so it is C that is
    told what to call.
    """
    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]

    def leave(number: int) -> None:
        text = pulse.lost_text(place, "another rank went away while the group formed")
        os.write(2, f"error: {text}\n".encode())
        os._exit(EXIT_PEER)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGABRT, before)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Within the block what native code writes to stdout goes to stderr: gloo greets there, among our metrics."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _of_peers(error: Exception) -> bool:
    """Whether an error of JAX's comes from another process."""
    native = type(error) in (ValueError, RuntimeError) or type(error).__module__.startswith("jax")
    return native and any(word in str(error).lower() for word in _OF_PEERS)
