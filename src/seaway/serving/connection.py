"""One client's connection: uvicorn's, with a limit on the head, which httptools would hold in memory without end."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 1024 * 1024
"""Bytes of a request's line, headers and trailers."""
_FRAMED = 6
"""Bytes on the wire for one byte of body, at most: a chunk of one byte."""


class Connection(HttpToolsProtocol):
    """Refuses a request whose head does not end."""

    _spent = 0
    """Bytes of this request that cannot be body."""

    def data_received(self, data: bytes) -> None:
        """Some bytes of one or more requests."""
        self._spent += len(data)
        super().data_received(data)
        if self._spent > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response(f"The head of a request must have at most {HEAD_LIMIT} bytes.")

    def on_message_begin(self) -> None:
        """A new request."""
        self._spent = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A piece of a request's body."""
        self._spent -= _FRAMED * len(body)
        super().on_body(body)
