"""Ranks that meet over plain connections before TensorFlow starts, as threads of this process: it is never loaded."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from seaway.errors import DeadlineError, InputError, PeerLostError
from seaway.training.place import Place
from seaway.training.ranks import meeting, pulse
from seaway.training.ranks.meeting import Met
from seaway.training.ranks.wire import Line
from seaway.training.tensorflow.group import Ranks
from seaway.training.world import World, world
from tests.support.waiting import until
from tests.training.inputs import free_port


def worlds(size: int, port: int, *, hosts: tuple[str, ...] = ()) -> list[World]:
    return [World(place=Place(rank=r, world_size=size), host="127.0.0.1", port=port, hosts=hosts) for r in range(size)]


def every(found: list[World], do: Callable[[World], Any]) -> list[Any]:
    """What each rank gets, or the error that it ends with."""

    def one(own: World) -> Any:
        try:
            return do(own)
        except Exception as e:
            return e

    with ThreadPoolExecutor(len(found)) as pool:
        return list(pool.map(one, found))


@pytest.fixture
def met() -> Iterator[Callable[[list[World]], list[Met]]]:
    """Lets ranks meet, and parts them after the test."""
    everyone: list[Met] = []

    def meet(found: list[World]) -> list[Met]:
        everyone.extend(every(found, lambda own: meeting.meet(own, timeout_s=20)))
        return everyone[-len(found) :]

    yield meet
    for one in everyone:
        one.close()


Meet = Callable[[list[World]], list[Met]]


def test_ranks_tell_each_other_numbers_and_bytes_exactly(met: Meet) -> None:
    ranks = [Ranks(Place(rank=r, world_size=3), one) for r, one in enumerate(met(worlds(3, free_port())))]
    given = np.random.default_rng(1).normal(size=(3, 2, 5)) * 1e-300

    def talk(own: World) -> Any:
        rank = ranks[own.place.rank]
        gathered = rank.gather(given[rank.place.rank])
        rank.barrier()
        return gathered, rank.share(bytes(3_000_000) if rank.place.leads else b""), rank.gather(np.array(1.0))

    for gathered, shared, ones in every(worlds(3, 1), talk):
        assert gathered.tobytes() == given.tobytes()
        assert shared == bytes(3_000_000)
        assert ones.tolist() == [1, 1, 1]
    assert "tensorflow" not in sys.modules


def test_the_servers_of_a_tfjob_are_those_of_its_ranks_chief_first(met: Meet) -> None:
    ports = [free_port() for _ in range(3)]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    cluster = {"worker": hosts[1:], "chief": hosts[:1]}
    tasks = [("chief", 0), ("worker", 0), ("worker", 1)]
    configs = [json.dumps({"cluster": cluster, "task": {"type": t, "index": i}}) for t, i in tasks]
    for one in met([world({"TF_CONFIG": text}) for text in configs]):
        assert one.servers == tuple(hosts)
    assert not world({}).hosts  # a TFJob of one replica has no TF_CONFIG


def test_where_only_rank_0_is_known_the_others_say_where_they_are(met: Meet) -> None:
    port = free_port()
    found = met(worlds(3, port))
    assert len({one.servers for one in found}) == 1
    own = [server.rpartition(":") for server in found[0].servers]
    assert [host for host, _, _ in own] == ["127.0.0.1"] * 3
    assert own[0][2] == str(port)
    assert len({port for _, _, port in own}) == 3
    # TensorFlow's server can listen there though all are connected
    socket.create_server(("127.0.0.1", port)).close()


def test_a_rank_that_never_comes_is_named() -> None:
    port = free_port()
    leader, other, _ = worlds(3, port)
    late, told = every([leader, other], lambda own: meeting.meet(own, timeout_s=0.5))
    for error in (late, told):
        assert isinstance(error, DeadlineError)
        assert f"rank 2 of 3 did not arrive at 127.0.0.1:{port} within " in str(error)
    (alone,) = every([other], lambda own: meeting.meet(own, timeout_s=0.3))
    assert isinstance(alone, DeadlineError)
    assert f"rank 1 of 3 must reach rank 0 at 127.0.0.1:{port} and did not within" in str(alone)


def test_ranks_of_other_worlds_are_named() -> None:
    port = free_port()
    found = every([worlds(2, port)[0], worlds(3, port)[2]], lambda own: meeting.meet(own, timeout_s=20))
    for error in found:
        assert isinstance(error, InputError)
        assert "rank 2 (" in str(error)
        assert "has world_size 3 and rank 0 has 2" in str(error)


def test_strangers_at_the_port_are_not_listened_to() -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(meeting.meet, worlds(2, port)[0], timeout_s=20)
        stranger = until(lambda: _connected(port))
        stranger.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        coming = pool.submit(meeting.meet, worlds(2, port)[1], timeout_s=20)
        both = leading.result(20), coming.result(20)
        assert both[0].servers == both[1].servers
        for one in (*both, stranger):
            one.close()
    with socket.create_server(("127.0.0.1", port)) as other, ThreadPoolExecutor(1) as pool:
        # somebody else answers where rank 0 will be
        waiting = pool.submit(meeting.meet, worlds(2, port)[1], timeout_s=0.5)
        sock, _ = other.accept()
        sock.sendall(bytes(64))
        with pytest.raises(DeadlineError, match="rank 0"):
            waiting.result(20)
        sock.close()


def _connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        return None


def test_a_taken_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_PORT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeadlineError, match=f"port {port} must be free for rank 0 and is not"):
            meeting.meet(worlds(2, port)[0], timeout_s=5)


def test_rank_0_that_goes_away_while_they_meet_is_told() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as leader, ThreadPoolExecutor(1) as pool:
        coming = pool.submit(meeting.meet, worlds(2, port)[1], timeout_s=20)
        lines = [Line(leader.accept()[0]) for _ in meeting.KINDS]
        assert [line.greeted()["kind"] for line in lines] == list(meeting.KINDS)
        for line in lines:
            line.close()
        with pytest.raises(PeerLostError, match="rank 0 went away"):
            coming.result(20)


def test_a_rank_that_goes_away_is_named_to_all_and_one_that_ends_well_is_not(met: Meet) -> None:
    found = met(worlds(3, free_port()))
    watches = [pulse.Pulse(one.pulse, Place(rank=r, world_size=3)) for r, one in enumerate(found)]
    aborted: list[str] = []
    left: list[str] = []
    with watches[0].kept(aborted.append, leave=left.append):
        with watches[1].kept(aborted.append, leave=left.append):
            pass
        found[1].close()
        with watches[2].kept(aborted.append, leave=left.append):
            assert watches[0].why(within_s=0.2) == ""
            found[2].talk[0].close()  # a connection that the pulse does not watch
            for line in found[2].pulse.values():
                line.close()
            until(lambda: any(text.startswith("rank 0") for text in left), what="rank 0 misses rank 2")
    assert watches[0].why() == "no word from rank 2"
    assert "no word from rank 2" in aborted
    told = next(text for text in left if text.startswith("rank 0"))
    assert told.startswith("rank 0 of 3 cannot go on: no word from rank 2: the log of that replica says why")


def test_a_silent_rank_is_missed_and_the_others_hear_which(met: Meet) -> None:
    found = met(worlds(3, free_port()))
    watches = [pulse.Pulse(one.pulse, Place(rank=r, world_size=3), silent_s=1) for r, one in enumerate(found)]
    left: list[str] = []
    with watches[0].kept(lambda why: None, leave=left.append), watches[1].kept(lambda why: None, leave=left.append):
        until(lambda: len(left) == 2, what="both others miss rank 2")
    assert watches[0].why() == "no sign of life for 1 s from rank 2"
    assert watches[1].why() == "no word from rank 2"
