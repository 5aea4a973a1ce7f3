"""Whatever is sent, the answer is a 4xx in words, and never a 5xx."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.serving.app import App
from seaway.serving.served import ServedModel
from tests.serving.models import ROW, column, v2
from tests.serving.processes import Serving

INFER = "/v2/models/flights/infer"


@pytest.mark.parametrize(
    ("name", "value", "rule", "found"),
    [
        ("carrier", "DL", "one of 'AA', 'B6', 'UA'", "'DL'"),
        ("carrier", None, "not null", "null"),
        ("carrier", 5, "a string", "5"),
        ("carrier", ["AA"], "a string", "['AA']"),
        ("tailnum", 1, "a string", "1"),
        ("tailnum", True, "a string", "True"),
        ("hour", 24, "at most 23", "24"),
        ("hour", -1, "at least 0", "-1"),
        ("hour", 6.5, "an integer", "6.5"),
        ("hour", True, "an integer", "True"),
        ("hour", "6", "an integer", "'6'"),
        ("hour", None, "not null", "null"),
        ("hour", {}, "an integer", "{}"),
        ("seats", 2**63, "an integer from", "9223372036854775808"),
        ("seats", -(2**63), "an integer from", "-9223372036854775808"),
        ("seats", 2**70, "an integer from", "1.18"),
        ("distance", 6000.5, "at most 6000.0", "6000.5"),
        ("distance", "500", "a number", "'500'"),
        ("distance", False, "a number", "False"),
        ("distance", 2**53 + 1, "float64 holds exactly", "9007199254740993"),
        ("weekend", 1, "true or false", "1"),
        ("weekend", "true", "true or false", "'true'"),
        ("departure", "yesterday", "a timestamp", "'yesterday'"),
        ("departure", 1.5, "a timestamp", "1.5"),
        ("departure", 2**63, "a timestamp", "9223372036854775808"),
        ("unused ✈", 3, "one of 1, 2", "3"),
        ("unused ✈", True, "an integer", "True"),
    ],
)
def test_a_value_that_breaks_the_contract_is_named(
    client: httpx.Client, name: str, value: Any, rule: str, found: str
) -> None:
    request = v2(ROW)
    column(request, name).update(data=[value])
    if name == "departure":
        column(request, name).update(datatype="BYTES")
    response = client.post(INFER, json=request)
    assert response.status_code == 400
    body = response.json()
    (violation,) = body["violations"]
    assert (violation["column"], violation["row"], violation["rows"]) == (name, 0, 1)
    assert rule in violation["rule"]
    assert found in violation["found"]
    for words in (name, rule, found):
        assert words in body["error"]


def test_every_broken_column_is_told_with_its_first_row_and_count(client: httpx.Client) -> None:
    rows = [{**ROW, "hour": 99 if i in (3, 7) else 5, "carrier": "XX" if i == 4 else "AA"} for i in range(10)]
    request = v2(*rows)
    request["inputs"].remove(column(request, "departure"))
    violations = client.post(INFER, json=request).json()["violations"]
    told = {v["column"]: (v["row"], v["rows"]) for v in violations}
    assert told == {"hour": (3, 2), "carrier": (4, 1), "departure": (None, 10)}


def without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda request: column(request, "hour").pop(key)


def hour(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda request: column(request, "hour").update(changes)


WRONG: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: r.pop("inputs"), "'inputs'"),
    (lambda r: r.update(inputs=[]), "at least one input"),
    (lambda r: r.update(inputs={"hour": 1}), "a list"),
    (lambda r: r["inputs"].insert(0, None), "an input must be an object"),
    (lambda r: r["inputs"].append(7), "an input must be an object"),
    (lambda r: r["inputs"].append(column(r, "hour")), "found twice: ['hour']"),
    (without("data"), "'data'"),
    (without("shape"), "'shape'"),
    (without("name"), "'name'"),
    (hour(name="ours"), "did you mean 'hour'"),
    (hour(name=["hour"]), "a column of the contract"),
    (hour(shape=[2]), "shape must be [1]"),
    (hour(shape=[1, 2]), "shape must be [1]"),
    (hour(shape=1), "shape must be [1]"),
    (hour(data=[1, 2]), "2 values"),
    (hour(data=[]), "0 values"),
    (hour(data={"0": 1}), "a list of 1 values"),
    (hour(data="6"), "a list of 1 values"),
    (hour(shape=[1, 1], data=[[1, 2]]), "one value a row"),
    (hour(datatype="BYTES"), "sent as"),
    (hour(datatype=None), "sent as"),
    (hour(datatype=["INT64"]), "sent as"),
    (lambda r: r.update(id=5), "id must be a string"),
    (lambda r: r.update(parameters=[]), "parameters must be an object"),
    (lambda r: r.update(parameters={"binary_data_output": True}), "JSON only"),
    (lambda r: r.update(outputs=[{"name": "label", "parameters": {"binary_data": True}}]), "JSON only"),
    (lambda r: r.update(outputs=[{"name": "labels"}]), "did you mean 'label'"),
    (lambda r: r.update(outputs=["label"]), "objects with a 'name'"),
    (lambda r: r.update(outputs="label"), "objects with a 'name'"),
    (lambda r: [i.update(shape=[0], data=[]) for i in r["inputs"]], "from 1 to"),
    (lambda r: [i.update(shape=[-1]) for i in r["inputs"]], "from 1 to"),
    (lambda r: [i.update(shape=[10**12]) for i in r["inputs"]], "from 1 to"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_request_of_another_form_is_refused_in_words(
    client: httpx.Client, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    request = v2(ROW)
    change(request)
    response = client.post(INFER, json=request)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"inputs": NaN}', b"[" * 100_000, b"\xef\xbb\xbf{}"]
    + [json.dumps(v2(ROW)).replace("500.0", bad).encode() for bad in ("NaN", "Infinity", "-Infinity", "1e999")]
    + [json.dumps(v2(ROW)).replace('"N1"', bad).encode() for bad in ('"\\ud800"', '"\\udfff"')]
    + [json.dumps(v2(ROW)).encode().replace(b'"N1"', b'"\xff"')],
)  # fmt: skip
def test_what_is_not_json_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post(INFER, content=body)
    assert response.status_code == 400
    assert "the body must be" in response.json()["error"]


def test_the_content_type_does_not_matter(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/octet-stream", "", "\xe9"):
        response = client.post(INFER, content=json.dumps(v2(ROW)), headers={"content-type": kind.encode("latin-1")})
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/v2/models/flight/infer", 404, "did you mean 'flights'"),
        ("POST", "/v1/models/other:predict", 404, "found 'other'"),
        ("POST", "/v1/models/flights:explain", 404, "the path"),
        ("GET", "/v3", 404, "the path"),
        ("GET", "/v2/models/%F0%9F%98%80/ready", 404, "the model"),
        ("GET", INFER, 405, "POST"),
        ("DELETE", INFER, 405, "POST"),
        ("POST", "/v2", 405, "GET"),
        ("PUT", "/metrics", 405, "GET"),
    ],
)
def test_an_unknown_path_or_method_is_refused(
    client: httpx.Client, method: str, path: str, status: int, words: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert words in response.json()["error"]
    assert ("allow" in response.headers) == (status == 405)


def test_a_huge_body_is_refused_and_the_client_reads_why(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 10_000

    for content in (b" " * 3_000_000, chunks()):
        response = client.post(INFER, content=content)
        assert response.status_code == 413
        assert "at most 1 MiB" in response.json()["error"]
    assert client.post(INFER, json=v2(ROW)).status_code == 200


def test_a_huge_body_is_refused_before_it_is_sent(server: Serving) -> None:
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=10) as s:
        s.sendall(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000000\r\n\r\n" % INFER.encode())
        s.sendall(b" " * 2_000_000)
        assert s.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("raw", [b"\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"])
def test_what_is_not_http_does_no_harm(server: Serving, client: httpx.Client, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=10) as s:
        s.sendall(raw)
        s.shutdown(socket.SHUT_WR)
        assert b"500" not in s.recv(1000)[:20]
    assert client.get("/v2/health/ready").status_code == 200


@pytest.fixture(scope="module")
def app(flights: str) -> App:
    return App([ServedModel.open(flights)])


def post(app: App, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """One request through the application, without a socket."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send))
    return sent[0]["status"], json.loads(b"".join(m["body"] for m in sent[1:]))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["AA", "INT64", "BYTES", "hour", "label", 2**63, -(2**63), 2**64, 1e308, -0.0, "2013-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
V1 = {"instances": [ROW, ROW]}


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good request in which some places hold something else."""
    protocol = draw(st.sampled_from(["v1", "v2"]))
    request: Any = json.loads(json.dumps(V1 if protocol == "v1" else v2(ROW, ROW)))
    for _ in range(draw(st.integers(1, 3))):
        at = request
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(at[key], dict | list) and at[key] and draw(st.integers(0, 4)):
                at = at[key]
                continue
            at[key] = draw(JSON)
            break
    path = INFER if protocol == "v2" else "/v1/models/flights:predict"
    return path, json.dumps(request).encode("utf-8", "surrogatepass")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed())
def test_no_change_of_a_request_is_a_fault_of_the_server(app: App, request_: tuple[str, bytes]) -> None:
    status, body = post(app, *request_)
    assert status in (200, 400)
    assert ("error" in body) == (status == 400)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault_of_the_server(app: App, body: bytes) -> None:
    assert post(app, INFER, body)[0] == 400


@pytest.mark.parametrize(
    "sent", [b"GET /v2 HTTP/1.1\r\nX: ", b"GET /", b"POST /v2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "]
)
def test_a_head_without_end_is_cut_off(server: Serving, client: httpx.Client, sent: bytes) -> None:
    # Closed with a 400, or reset while more was on its way; a server that takes it all is a TimeoutError here.
    with (
        socket.create_connection(("127.0.0.1", server.ports[0]), timeout=5) as connection,
        contextlib.suppress(ConnectionError),
    ):
        connection.sendall(sent)
        for _ in range(64):
            connection.sendall(b"a" * 2**16)
        while connection.recv(1 << 20):
            pass
    assert client.get("/v2/health/live").status_code == 200


def test_a_body_in_chunks_of_one_byte_is_read(server: Serving) -> None:
    body = json.dumps(v2(ROW)).encode() + b" " * 300_000
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=20) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.sendall(b"".join(b"1\r\n%c\r\n" % one for one in body) + b"0\r\n\r\n")
        assert connection.recv(1 << 20).startswith(b"HTTP/1.1 200")


def test_a_gzip_body_is_named(client: httpx.Client) -> None:
    answer = client.post(INFER, content=gzip.compress(json.dumps(v2(ROW)).encode()))
    assert (answer.status_code, answer.json()) == (400, {"error": "the body must be sent uncompressed, found gzip"})
