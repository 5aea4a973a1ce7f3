"""A connection between two ranks: messages of any length, and words when it breaks.

In: a TCP socket. Out: bytes and JSON objects, whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<Q")
_GREETING = b"seaway-ranks-1\n"
_MAX_JSON = 1 << 20


class Line:
    """A connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def own_host(self) -> str:
        """This side's address, at which the other side's machine reaches it."""
        return str(self._socket.getsockname()[0])

    def set_timeout(self, seconds: float) -> None:
        """Raise TimeoutError where the other side is silent for longer."""
        self._socket.settimeout(max(seconds, 0.01))

    def send(self, content: bytes | memoryview) -> None:
        """Send a message.

        Raises:
            OSError: the connection broke.
        """
        self._socket.sendall(_LENGTH.pack(len(content)))
        self._socket.sendall(content)

    def receive(self) -> bytes:
        """The next message.

        Raises:
            OSError: the connection broke; ConnectionResetError where the other side closed it.
        """
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return self._exactly(length)

    def greet(self, hello: dict[str, Any]) -> None:
        """Say who this is; the other side's ``greeted`` hears it."""
        self._socket.sendall(_GREETING)
        self.send(json.dumps(hello).encode())

    def greeted(self) -> dict[str, Any]:
        """Who the other side is.

        Raises:
            OSError: it broke, or it is nobody of this training: another program found the port.
        """
        if self._exactly(len(_GREETING)) != _GREETING:
            raise ConnectionAbortedError("the other side is no rank of a training")
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if length > _MAX_JSON:
            raise ConnectionAbortedError("the other side is no rank of a training")
        said: dict[str, Any] = json.loads(self._exactly(length))
        return said

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def close(self) -> None:
        """Let go of it; may be called twice."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        buffer = bytearray(length)
        view, have = memoryview(buffer), 0
        while have < length:
            got = self._socket.recv_into(view[have:])
            if not got:
                raise ConnectionResetError("the other side closed the connection")
            have += got
        return bytes(buffer)
