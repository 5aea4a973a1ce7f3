"""Hostile and unlucky input, time-outs, clients that leave, and the end of the process."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import struct
import threading
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.router.by_hand import ByHand
from tests.router.routers import Router, ask, free_port, received, routing, sequence, start
from tests.support.services import Asked, Said, Service, service
from tests.support.waiting import until

REQUEST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with service(b'{"a":1}') as found:
        yield found


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, upstream: Service) -> Iterator[Router]:
    with routing(tmp_path_factory.mktemp("router"), sequence({"serviceUrl": upstream.url})) as found:
        yield found


@pytest.mark.parametrize(("data", "status"), [
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400),
    (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 3_000_000, 431),
    (b"POST /" + b"a" * 3_000_000, 431),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 3_000_000, 431),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", 413),
])  # fmt: skip
def test_bad_http_is_refused_in_words(router: Router, data: bytes, status: int) -> None:
    with router.connect() as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        said = received(s)
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert len(json.loads(said.partition(b"\r\n\r\n")[2])["cause"]) > 10


@settings(max_examples=60)
@given(
    data=st.binary(max_size=60)
    | st.builds(
        lambda cut, junk, more: REQUEST[:cut] + junk + REQUEST[cut:] * more,
        st.integers(0, len(REQUEST)),
        st.binary(max_size=6),
        st.integers(0, 3),
    ),
    pieces=st.integers(1, 4),
)
def test_no_bytes_whatever_end_the_router(router: Router, data: bytes, pieces: int) -> None:
    with router.connect() as s:
        size = len(data) // pieces + 1
        try:
            for i in range(0, len(data), size):
                s.sendall(data[i : i + size])
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        said = received(s)
    assert said == b"" or said.startswith(b"HTTP/1.1 ")
    assert router.process.poll() is None


def test_rubbish_from_many_at_once_disturbs_nobody(router: Router) -> None:
    chance = random.Random(0)

    def rubbish() -> None:
        for _ in range(20):
            with router.connect() as s:
                s.sendall(chance.randbytes(200))
                if chance.random() < 0.5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    threads = [threading.Thread(target=rubbish) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert {ask(router.url)[0] for _ in range(50)} == {200}
    for thread in threads:
        thread.join()


def test_a_service_that_is_reset_in_the_middle_of_its_answer_is_told(tmp_path: Path) -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with (
        ByHand() as service,
        routing(tmp_path, sequence({"serviceUrl": f"http://127.0.0.1:{service.port}/"})) as router,
    ):
        service.says = reset
        status, body, _ = ask(router.url)
        assert status == 500
        assert json.loads(body)["cause"].endswith(("connection reset by peer", "unexpected EOF"))
        service.says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        assert ask(router.url)[:2] == (200, b"ok")


@pytest.mark.parametrize(("first", "why"), [
    (b"", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
     "context deadline exceeded (Client.Timeout or context cancellation while reading body)"),
])  # fmt: skip
def test_a_slow_service_times_out(tmp_path: Path, first: bytes, why: str) -> None:
    left = threading.Event()

    def slow(connection: socket.socket) -> None:
        connection.sendall(first)
        if connection.recv(1) == b"":
            left.set()

    with ByHand() as service:
        service.says = slow
        url = f"http://127.0.0.1:{service.port}/"
        spec = sequence(
            {"serviceUrl": url, "dependency": "Soft"}, {"serviceUrl": url}, routerTimeouts={"serviceClient": 1}
        )
        with routing(tmp_path, spec) as router:
            begin = time.monotonic()
            status, body, _ = ask(router.url)
            assert (status, json.loads(body)["cause"]) == (500, f'Post "{url}": {why}')
            assert 0.9 < time.monotonic() - begin < 10
            assert left.wait(10)


def test_an_answer_that_takes_too_long_is_none(tmp_path: Path) -> None:
    left = threading.Event()

    def slow(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            left.set()

    with ByHand() as service:
        service.says = slow
        url = f"http://127.0.0.1:{service.port}/"
        with routing(tmp_path, sequence({"serviceUrl": url}, routerTimeouts={"serverWrite": 1})) as router:
            assert router.raw(REQUEST) == b""
            assert left.wait(10)


def test_a_request_that_comes_too_slowly_and_idle_connections_are_given_up(upstream: Service, tmp_path: Path) -> None:
    times = {"serverRead": 1, "serverIdle": 1}
    with routing(tmp_path, sequence({"serviceUrl": upstream.url}, routerTimeouts=times)) as router:
        sent = [b"", REQUEST[:20], REQUEST[:-1], REQUEST, REQUEST + REQUEST[:9]]
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(router.raw, sent))
    assert [re.findall(rb"HTTP/1.1 (\d+)", one) for one in said] == [
        [], [b"408"], [b"408"], [b"200"], [b"200", b"408"],
    ]  # fmt: skip


def test_when_the_client_leaves_the_service_is_left_too(tmp_path: Path) -> None:
    asked, left = threading.Event(), threading.Event()

    def slow(connection: socket.socket) -> None:
        asked.set()
        if connection.recv(1) == b"":
            left.set()

    with (
        ByHand() as service,
        routing(tmp_path, sequence({"serviceUrl": f"http://127.0.0.1:{service.port}/"})) as router,
    ):
        service.says = slow
        with router.connect() as s:
            s.sendall(REQUEST)
            assert asked.wait(10)
        assert left.wait(10)
        service.says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        assert ask(router.url)[:2] == (200, b"ok")


def test_a_client_that_does_not_read_holds_up_only_itself(tmp_path: Path) -> None:
    size, count = 500_000, 40
    with (
        service(lambda asked: (200, b"x" * size)) as large,
        routing(tmp_path, sequence({"serviceUrl": large.url})) as router,
        router.connect() as s,
    ):
        s.sendall(REQUEST * count)
        until(lambda: len(large.asked) > 1)
        assert ask(router.url)[0] == 200
        got = 0
        while got < size * count:
            # what is asked of the service is never far ahead of what the client has read
            assert len(large.asked) * size < got + 20 * size
            data = s.recv(65536)
            assert data
            got += len(data)


def test_what_is_in_flight_is_finished_and_the_end_is_0(tmp_path: Path) -> None:
    go, asked = threading.Event(), threading.Event()

    def slow(one: Asked) -> Said:
        asked.set()
        assert go.wait(10)
        return 200, b"done"

    with service(slow) as upstream, routing(tmp_path, sequence({"serviceUrl": upstream.url})) as router:
        with router.connect() as s, router.connect() as idle:
            s.sendall(REQUEST)
            assert asked.wait(10)
            router.process.send_signal(signal.SIGTERM)
            until(lambda: refused(router.port), what="no new connection is taken")
            go.set()
            said = received(s)
            assert said.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Connection: close\r\n" in said
            assert said.endswith(b"done")
            assert router.process.wait(10) == 0
            assert received(idle) == b""
        assert [one["message"] for one in router.said()] == [
            f"routing on port {router.port}", "told to end: finishing what is in flight", "ended",
        ]  # fmt: skip


def test_readiness_says_no_while_new_connections_are_still_taken(upstream: Service, tmp_path: Path) -> None:
    with routing(tmp_path, sequence({"serviceUrl": upstream.url}), more=("--lame-duck-s", "30")) as router:
        router.process.send_signal(signal.SIGTERM)
        until(lambda: ask(router.url + "readyz")[:2] == (503, b"shutting down\n"))
        status, _, headers = ask(router.url)
        assert (status, headers["connection"]) == (200, "close")


def test_what_never_ends_is_cut_off(tmp_path: Path) -> None:
    with ByHand() as service:
        service.says = lambda connection: connection.recv(1)  # type: ignore[assignment, return-value]
        spec = sequence({"serviceUrl": f"http://127.0.0.1:{service.port}/"})
        with routing(tmp_path, spec, more=("--grace-s", "0.2")) as router, router.connect() as s:
            s.sendall(REQUEST)
            until(lambda: service.asked)
            assert router.end() == 0
            assert received(s) == b""
            assert "ending with 1 connections unfinished after 0.2 s" in router.log.read_text()


def test_a_rolling_update_loses_no_request(tmp_path: Path) -> None:
    shared, stop = free_port(), threading.Event()
    seen: dict[str, set[bytes]] = {"kept": set(), "new": set()}
    wrong: list[str] = []

    def asking(kind: str) -> None:
        connection = HTTPConnection("127.0.0.1", shared, timeout=10)
        while not stop.wait(0.001) and not wrong:
            try:
                connection.request("POST", "/", b"{}")
                response = connection.getresponse()
                assert response.status == 200, response.read()
                seen[kind].add(response.read())
            except Exception as e:
                wrong.append(f"{kind}: {e!r}")
            if kind == "new":
                connection.close()
        connection.close()

    with service(b"1") as one, service(b"2") as two, ExitStack() as stack:
        old = stack.enter_context(routing(tmp_path, sequence({"serviceUrl": one.url}), ports=[shared, free_port()]))
        threads = [threading.Thread(target=asking, args=(kind,)) for kind in ("kept", "kept", "new", "new")]
        for thread in threads:
            thread.start()
        try:
            stack.enter_context(routing(tmp_path, sequence({"serviceUrl": two.url}), ports=[shared, free_port()]))
            assert old.end() == 0
            until(lambda: wrong or all(b"2" in found for found in seen.values()))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert wrong == []
    assert seen == {"kept": {b"1", b"2"}, "new": {b"1", b"2"}}


def test_a_graph_that_cannot_be_routed_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    spec = sequence({"serviceUrl": "http://x"}, {"serviceUrl": "ftp://x", "condition": "a=="})
    assert start(spec, tmp_path / "log").wait(20) == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith("seaway.serving.router: step 1 of node 'root': serviceUrl must be an http or https URL")
    assert "; step 1 of node 'root': the condition must write comparisons as queries" in line


def refused(port: int) -> bool:
    try:
        ask(f"http://127.0.0.1:{port}/readyz")
    except (urllib.error.URLError, ConnectionError, RemoteDisconnected, TimeoutError):
        return True
    return False
