"""The server's listening sockets, shared with other processes of the same service.

SO_REUSEPORT lets several processes listen on one port; the kernel spreads new connections over them. It has one trap:
the connections that wait in a closing socket's queue are reset. So a closing socket first drops new SYN packets (the
client's kernel sends them again and they reach another process), then its queue is accepted, then it is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Sequence

from seaway.errors import LaunchError

_SO_ATTACH_FILTER = 26
_DROP_SYN = (  # classic BPF on the TCP header: a packet with SYN and without ACK is dropped, all else passes
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)


def listen(host: str, ports: Sequence[int]) -> list[socket.socket]:
    """A bound socket on every port; port 0 takes a free one.

    Raises:
        LaunchError: a port is taken by a process that does not share it, or may not be taken.
    """
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            sockets.append(_bind(host, port))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except OSError as e:
        raise LaunchError(f"the host must be an address of this machine, found {host!r}: {e}") from e
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
        sock.bind(address)
    except OSError as e:
        sock.close()
        if e.errno == errno.EADDRINUSE:
            raise LaunchError(
                f"port {port} of {host} must be free, it is in use by a process that does not share it: "
                "stop that process or choose another --port"
            ) from e
        raise LaunchError(f"this process must be allowed to listen on port {port} of {host}: {e.strerror}") from e
    return sock


def refuse_new(sockets: Sequence[socket.socket]) -> None:
    """Let no new connection begin; those that wait stay. Where the kernel has no such filter, nothing changes."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *op) for op in _DROP_SYN))
    filter_ = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
