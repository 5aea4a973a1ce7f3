"""One request as it comes in."""

from __future__ import annotations

Header = tuple[bytes, bytes]


class Request:
    """A request, filled in as its bytes arrive."""

    __slots__ = (
        "body",
        "coded",
        "due",
        "expects_continue",
        "headed",
        "headers",
        "hosts",
        "keep_alive",
        "length",
        "method",
        "url",
        "version",
    )

    def __init__(self) -> None:
        self.url = b""
        self.method = b""
        self.version = "1.1"
        self.headers: list[Header] = []
        self.hosts = 0
        self.coded = False
        """Whether its body is sent in a way that is not understood."""
        self.headed = False
        """Whether the head is whole."""
        self.length = 0
        """Of the body, as the head says."""
        self.expects_continue = False
        self.body: bytes | bytearray = b""
        """What is here of it."""
        self.due = 0.0
        """When its answer must be written."""
        self.keep_alive = False

    def read_head(self, method: bytes, version: str) -> None:
        """Take from the head what matters before the body is here."""
        self.headed, self.method, self.version = True, method, version
        for name, value in self.headers:
            if len(name) == 14 and name.lower() == b"content-length" and value.isdigit():
                self.length = int(value)
            elif len(name) == 6 and name.lower() == b"expect":
                self.expects_continue = version != "1.0" and value.lower() == b"100-continue"
            elif len(name) == 4 and name.lower() == b"host":
                self.hosts += 1
            elif len(name) == 17 and name.lower() == b"transfer-encoding":
                self.coded |= value.lower() != b"chunked"

    def problem(self) -> str:
        """Why a request with this head cannot be answered, empty if it can."""
        if self.hosts > 1:
            return "too many Host headers"
        if self.hosts == 0 and self.version == "1.1":
            return "missing required Host header"
        return "the Transfer-Encoding must be chunked" if self.coded else ""


def joined(body: bytes | bytearray, more: bytes) -> bytes | bytearray:
    """A body and its next piece: many small pieces must take no more memory than one large one."""
    if not body:
        return more
    if isinstance(body, bytes):
        body = bytearray(body)
    body += more
    return body
