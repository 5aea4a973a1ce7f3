"""A listening socket is given up without resetting a connection."""

from __future__ import annotations

import errno
import socket
import sys

import pytest

from seaway.errors import LaunchError
from seaway.serving.listeners import listen, refuse_new
from tests.support.waiting import until


def connecting(port: int) -> socket.socket:
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
    return s


def connected(s: socket.socket) -> bool:
    try:
        s.getpeername()
    except OSError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_new_connections_reach_the_other_socket_and_waiting_ones_stay() -> None:
    (old,) = listen("127.0.0.1", [0])
    port = old.getsockname()[1]
    old.listen(100)
    old.setblocking(False)
    waiting = [connecting(port) for _ in range(5)]
    (new,) = listen("127.0.0.1", [port])
    new.listen(100)
    refuse_new([old])
    late = [connecting(port) for _ in range(20)]
    taken = [old.accept()[0] for _ in waiting]
    with pytest.raises(BlockingIOError):
        old.accept()
    old.close()
    until(lambda: all(map(connected, late)), what="the kernel asked again, and the new socket took all")
    for mine, theirs in zip(waiting, taken, strict=True):
        theirs.sendall(b"x")
        until(lambda mine=mine: connected(mine))
        mine.setblocking(True)
        assert mine.recv(1) == b"x"
    for s in (new, *waiting, *taken, *late):
        s.close()


def test_every_port_is_opened_or_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LaunchError, match="must be free"):
            listen("127.0.0.1", [0, taken.getsockname()[1]])
    with pytest.raises(LaunchError, match="address of this machine"):
        listen("no such host.invalid", [0])
    with pytest.raises(LaunchError, match="must be allowed to listen"):
        listen("192.0.2.1", [0])
