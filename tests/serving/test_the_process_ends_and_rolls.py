"""Start, end and rolling update of the server's process."""

from __future__ import annotations

import json
import signal
import socket
import threading
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import httpx

from tests.serving import models
from tests.serving.models import ROW, v2
from tests.serving.processes import free_port, serving, start
from tests.support.waiting import until

INFER = "/v2/models/flights/infer"


def test_it_serves_every_port_and_ends_with_0(tmp_path: Path, flights: str) -> None:
    ports = [free_port(), free_port()]
    with serving(tmp_path, flights, ports=ports) as server:
        for port in ports:
            assert httpx.post(f"http://127.0.0.1:{port}{INFER}", json=v2(ROW)).status_code == 200
        assert server.end() == 0
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert [line["message"] for line in lines] == [
            f"serving flights on port {ports[0]}, {ports[1]}",
            "told to end: finishing what is in flight",
            "ended",
        ]
        assert lines[0]["models"] == {"flights": "1"}


def test_kserves_arguments_are_taken(tmp_path: Path, flights: str) -> None:
    port = free_port()
    args = ["--model_name", "other", "--model_dir", flights, "--http_port", str(port)]
    process = start(args, tmp_path / "log")
    try:
        url = f"http://127.0.0.1:{port}/v2/models/other"

        def answers() -> bool:
            try:
                return httpx.get(url).status_code == 200
            except httpx.TransportError:
                return False

        until(answers)
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_request_in_flight_is_finished(tmp_path: Path, flights: str) -> None:
    body = json.dumps(v2(ROW)).encode()
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with serving(tmp_path, flights) as server, socket.create_connection(("127.0.0.1", server.ports[0])) as s:
        s.settimeout(10)
        s.sendall(head + body[:100])
        metrics = f"{server.url}/metrics"
        until(lambda: "seaway_requests_in_flight 1.0" in httpx.get(metrics).text, what="the request has begun")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refused(server.ports[0]), what="no new connection is taken")
        s.sendall(body[100:])
        answer = b""
        while part := s.recv(10_000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert server.process.wait(10) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_kept_connection_gets_its_next_answer_and_is_closed(tmp_path: Path, flights: str) -> None:
    body = json.dumps(v2(ROW)).encode()
    with serving(tmp_path, flights) as server:
        connection = HTTPConnection("127.0.0.1", server.ports[0], timeout=10)
        for connected in (True, False):
            connection.request("POST", INFER, body)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            response.read()
            assert (connection.sock is not None) == connected
            if connected:
                server.process.send_signal(signal.SIGTERM)
                until(lambda: refused(server.ports[0]), what="no new connection is taken")
        assert server.process.wait(10) == 0


def test_an_idle_connection_does_not_hold_the_end_up(tmp_path: Path, flights: str) -> None:
    with serving(tmp_path, flights) as server, httpx.Client(base_url=server.url) as client:
        assert client.post(INFER, json=v2(ROW)).status_code == 200
        assert server.end() == 0


def test_readiness_says_no_while_new_connections_are_still_taken(tmp_path: Path, flights: str) -> None:
    with serving(tmp_path, flights, more=("--lame-duck-s", "30")) as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 503)
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        answer = httpx.post(server.url + INFER, json=v2(ROW))
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"


def test_a_probe_is_answered_while_a_large_request_is_worked_on(tmp_path: Path, flights: str) -> None:
    with serving(tmp_path, flights) as server:
        body = json.dumps(v2(*[ROW] * 10_000)).encode()
        done: list[int] = []
        probes: list[int] = []
        asking = threading.Thread(
            target=lambda: done.append(httpx.post(server.url + INFER, content=body, timeout=30).status_code)
        )
        with httpx.Client(base_url=server.url) as client:
            asking.start()
            while asking.is_alive():
                in_flight = "seaway_requests_in_flight 1.0" in client.get("/metrics").text
                probes.append(client.get("/v2/health/live").status_code if in_flight else 0)
            asking.join()
        assert done == [200]
        assert 200 in probes


def test_a_port_in_use_is_an_error_in_words(tmp_path: Path, flights: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(["--model", flights, "--port", str(port)], tmp_path / "log")
        assert process.wait(20) == 1
    assert (tmp_path / "log").read_text().splitlines() == [
        f"seaway.serving: port {port} of 127.0.0.1 must be free, it is in use by a process that does not share it: "
        "stop that process or choose another --port"
    ]


def test_what_is_not_a_package_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    process = start(["--model", f"flights={tmp_path / 'nothing there'}", "--port", "0"], tmp_path / "log")
    assert process.wait(20) == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith("seaway.serving: ")
    assert "nothing there" in line


def test_requests_are_logged_where_wanted(tmp_path: Path, flights: str) -> None:
    with serving(tmp_path, flights, more=("--log-requests", "1")) as server:
        httpx.post(server.url + INFER, json=v2(ROW, ROW), headers={"x-request-id": "r-1"})
        assert server.end() == 0
        logged = [json.loads(x) for x in server.log.read_text().splitlines() if "r-1" in x]
    assert [(x["model"], x["protocol"], x["status"], x["rows"]) for x in logged] == [("flights", "v2", 200, 2)]


def test_a_rolling_update_loses_no_request(tmp_path: Path) -> None:
    uris = [models.write_flights(tmp_path, version=str(v)) for v in (1, 2)]
    shared = free_port()
    body = json.dumps(v2(ROW)).encode()
    versions: dict[str, set[str]] = {"kept": set(), "new": set()}
    wrong: list[str] = []
    stop = threading.Event()

    def ask(kind: str) -> None:
        connection = HTTPConnection("127.0.0.1", shared, timeout=10)
        while not stop.wait(0.001) and not wrong:
            try:
                connection.request("POST", INFER, body)
                response = connection.getresponse()
                answer = response.read()
                assert response.status == 200, answer
                versions[kind].add(response.headers["x-seaway-model-version"])
            except Exception as e:
                wrong.append(f"{kind}: {e!r}")
            if kind == "new":
                connection.close()
        connection.close()

    askers = [threading.Thread(target=ask, args=(kind,)) for kind in ("kept", "kept", "new", "new")]
    with ExitStack() as stack:
        old = stack.enter_context(serving(tmp_path, uris[0], ports=[shared, free_port()]))
        for asker in askers:
            asker.start()
        try:
            for n, uri in enumerate(uris[1:], start=2):
                new = stack.enter_context(serving(tmp_path, uri, ports=[shared, free_port()]))
                assert old.end() == 0
                for seen in versions.values():
                    until(lambda seen=seen, n=n: wrong or str(n) in seen, what=f"version {n} answers")
                old = new
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    assert wrong == []
    assert versions == {"kept": {"1", "2"}, "new": {"1", "2"}}
