"""The ranks of one training: how they meet, agree, tell each other numbers, and boost together.

In: the environment of any controller; see `seaway.training.world`. Out: `Ranks`, connected through rank 0, and within
`boosting` xgboost's own communicator. The ranks' own connections tell at once who is missing or lost, which xgboost
does not; its communicator is there while trees are grown, and no longer.

xgboost's ranks listen on ports of their own on all interfaces, whatever address they are told, and ask nobody who he
is: on a machine that others reach, let a firewall or a NetworkPolicy keep the ranks' ports to the ranks. Rank 0's
tracker, and all other sockets of ranks on one machine, stay on its loopback.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import xgboost as xgb
from xgboost import collective
from xgboost.tracker import RabitTracker

from seaway.training import checkpoints, peers
from seaway.training.cores import cores
from seaway.training.needs import installed
from seaway.training.peers import Peers
from seaway.training.ranks.connected import Ranks, connected
from seaway.training.signals import heard_in_native_code
from seaway.training.spec import TrainSpec
from seaway.training.world import timeout_s, world

_OF_PEERS = re.compile(r"src/collective/|\[(?:allreduce|allgather|broadcast|coll\w*|comm\w*|loop|socket|poll_utils)\.")


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
        with heard_in_native_code():
            yield peers.Alone(found.place)
        return
    with connected(found, spec, Ranks, versions=lambda: {"xgboost": xgb.__version__}, of_peers=_of_peers) as ranks:
        yield ranks


@contextmanager
def boosting(ranks: Peers) -> Iterator[None]:
    """Within the block xgboost's matrices and boosters are those of all ranks.

    It is left connected by an error: to take it down would wait for the rank that is lost.
    """
    if not isinstance(ranks, Ranks):
        yield
        return
    place, size = ranks.place, ranks.place.world_size
    tracker, said, timeout = None, b"", max(1, int(timeout_s(os.environ)))
    if place.leads:
        tracker = RabitTracker(n_workers=size, host_ip=ranks.own_host, sortby="task", timeout=timeout)
        tracker.start()
        said = json.dumps([ranks.own_host, tracker.worker_args()["dmlc_tracker_port"]]).encode()
    host, port = json.loads(ranks.share(said))
    collective.init(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=host,
        dmlc_tracker_port=port,
        dmlc_task_id=f"{place.rank:08d}",  # sorted as texts
        dmlc_timeout=timeout,
    )
    try:
        yield
        ranks.barrier()
    except BaseException:
        if tracker is not None:
            with suppress(xgb.core.XGBoostError):  # it did not end as it should
                tracker.free()
        raise
    collective.finalize()
    if tracker is not None:
        tracker.wait_for()


def distribution() -> str:
    """The name under which xgboost is installed here."""
    return installed("xgboost", "xgboost-cpu")


def threads(ranks: Peers) -> int:
    """For this rank. OMP_NUM_THREADS wins; called by all ranks.

    Trees are thousands of short parallel loops: of two cores a second thread gains nothing on an idle machine, and
    costs twice the time where both wait for a core that someone else has.
    """
    share = cores(neighbours=peers.neighbours(ranks))
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return 1 if share <= 2 else share


def _of_peers(error: Exception) -> bool:
    """Whether an error of xgboost's comes from a connection to another rank."""
    return isinstance(error, xgb.core.XGBoostError) and bool(_OF_PEERS.search(str(error)))
