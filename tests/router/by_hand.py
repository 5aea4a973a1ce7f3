"""A service whose answers are bytes, written by hand."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable


class ByHand:
    """Answers the first request of each connection, then closes it."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.says: bytes | Callable[[socket.socket], None] = b""
        self.asked: list[bytes] = []
        self._context = context

    def __enter__(self) -> ByHand:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(20)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            asked = b""
            while not _is_whole(asked):
                data = connection.recv(65536)
                if not data:
                    return
                asked += data
            self.asked.append(asked)
            if callable(self.says):
                self.says(connection)
            else:
                connection.sendall(self.says)
            connection.close()


def _is_whole(asked: bytes) -> bool:
    head, end, body = asked.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)
