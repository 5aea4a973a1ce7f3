"""What goes over the wire, on both sides, with the router as a process."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.router.by_hand import ByHand
from tests.router.routers import Router, ask, received, routing, sequence
from tests.support.services import Asked, Said, Service, service
from tests.support.waiting import until


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with service() as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Service) -> Iterator[Router]:
    """One router for all tests that do not end it: a Sequence of one step, without a time-out."""
    folder = tmp_path_factory.mktemp("router")
    with routing(folder, sequence({"serviceUrl": upstream.url + "/v1/models/m:predict?x=1"})) as found:
        yield found


@pytest.fixture(scope="module")
def by_hand() -> Iterator[ByHand]:
    with ByHand() as found:
        yield found


@pytest.fixture(scope="module")
def to_hand(tmp_path_factory: pytest.TempPathFactory, by_hand: ByHand) -> Iterator[Router]:
    folder = tmp_path_factory.mktemp("router")
    with routing(folder, sequence({"serviceUrl": f"http://127.0.0.1:{by_hand.port}/p"})) as found:
        yield found


@pytest.fixture
def router(shared: Router, upstream: Service) -> Router:
    upstream.asked.clear()
    upstream.says = lambda asked: (200, b'{"a":1}')
    return shared


@pytest.mark.parametrize(("method", "path"), [
    ("POST", ""), ("GET", "any/path?with=query"), ("DELETE", "readyz/"), ("POST", "?readyz"),
])  # fmt: skip
def test_any_method_and_path_is_a_post_to_the_url_as_it_is_written(
    router: Router, upstream: Service, method: str, path: str
) -> None:
    status, body, headers = ask(router.url + path, b"in", method=method)
    assert (status, body, headers["content-type"]) == (200, b'{"a":1}', "application/json")
    (asked,) = upstream.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/models/m:predict?x=1", b"in")
    assert asked.header("content-type") == "application/json"
    assert asked.header("host") == f"127.0.0.1:{upstream.port}"


def test_readiness_is_answered_by_the_router(router: Router, upstream: Service) -> None:
    assert ask(router.url + "readyz")[:2] == (200, b"")
    assert upstream.asked == []


def test_paths_are_cleaned_as_go_does(router: Router) -> None:
    said = router.raw(b"GET /a//b/../c/?q=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /a/c/?q=1\r\n")


@pytest.mark.parametrize(("body", "type_"), [
    (b"[1]", "application/json"), (b" null ", "application/json"), (b"hello", "text/plain; charset=utf-8"),
    (b"<html><b>", "text/html; charset=utf-8"), (b"\x00\x01", "application/octet-stream"), (b"", None),
    (b'{"a":"\xff"}', "application/json"), (b"{1}", "text/plain; charset=utf-8"),
    (gzip.compress(b"x"), "application/x-gzip"),
])  # fmt: skip
def test_the_content_type_is_told_by_the_answer_alone(
    router: Router, upstream: Service, body: bytes, type_: str | None
) -> None:
    upstream.says = lambda asked: (418, body, {"Content-Type": "image/png", "X-Own": "1"})
    status, found, headers = ask(router.url)
    assert (status, found, headers["content-type"], headers["x-own"]) == (418, body, type_, None)


def test_chunked_bodies_go_both_ways(by_hand: ByHand, to_hand: Router) -> None:
    by_hand.says = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    said = to_hand.raw(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2;a=b\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\n"
    )
    assert said.endswith(b"Content-Length: 5\r\n\r\nabcde")
    assert by_hand.asked[-1].startswith(b"POST /p HTTP/1.1\r\n")
    assert b"Content-Length: 3\r\n" in by_hand.asked[-1]
    assert by_hand.asked[-1].endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(("answer", "status", "body"), [
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
    (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
     200, b"a"),
    (b"HTTP/1.1 204 None\r\n\r\n", 204, b""),
    (b"HTTP/1.1 299 Own Words\r\nContent-Length: 1\r\n\r\na", 299, b"a"),
    (b"HTTP/1.1 302 Found\r\nContent-Length: 1\r\n\r\na", 302, b"a"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 500, b"unexpected EOF"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", 500, b"unexpected EOF"),
    (b"", 500, b'": EOF'),
    (b"SSH-2.0-x\r\n", 500, b"transport connection broken"),
    (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 500, b"another protocol"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 500, b"transport connection broken"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 2_000_000, 500, b"headers exceeded"),
])  # fmt: skip
def test_whatever_a_service_says_there_is_an_answer(
    by_hand: ByHand, to_hand: Router, answer: bytes, status: int, body: bytes
) -> None:
    by_hand.says = answer
    found = ask(to_hand.url)
    assert found[0] == status
    assert body in found[1]
    if status == 500:
        assert json.loads(found[1])["error"] == "Failed to process request"
        assert json.loads(found[1])["cause"].startswith(f'Post "http://127.0.0.1:{by_hand.port}/p": ')
    assert ask(to_hand.url + "readyz")[0] == 200


def test_a_service_that_refuses_does_not_exist_or_is_no_url_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for url, why in (
            (f"http://127.0.0.1:{port}/x", f"dial tcp 127.0.0.1:{port}: connect: connection refused"),
            ("http://no-such-host.invalid/", "dial tcp: lookup no-such-host.invalid: no such host"),
        ):
            with routing(tmp_path, sequence({"serviceUrl": url, "dependency": "Soft"}, {"serviceUrl": url})) as router:
                status, body, headers = ask(router.url)
                assert (status, headers["content-type"]) == (500, "application/json")
                assert json.loads(body) == {"error": "Failed to process request", "cause": f'Post "{url}": {why}'}
                assert [one["message"] for one in router.said()][-1] == f'graph g has no answer: Post "{url}": {why}'


def test_connections_to_a_service_are_kept_and_given_up_when_they_are_closed(router: Router, upstream: Service) -> None:
    ports: list[int] = []

    def says(asked: Asked) -> Said:
        ports.append(1)
        return 200, b"{}", {"Connection": "close"} if len(ports) % 3 == 0 else {}

    upstream.says = says
    assert [ask(router.url)[0] for _ in range(9)] == [200] * 9


@pytest.mark.parametrize(("code", "status", "body"), [
    (301, 200, b"GET  None"), (302, 200, b"GET  None"), (303, 200, b"GET  None"),
    (307, 200, b"POST in application/json"), (308, 200, b"POST in application/json"), (300, 300, b"moved"),
    (304, 304, b""),
])  # fmt: skip
def test_redirects_are_followed_as_go_does(
    router: Router, upstream: Service, code: int, status: int, body: bytes
) -> None:
    def says(asked: Asked) -> Said:
        if asked.path != "/end":
            return code, b"moved" if code != 304 else b"", {"Location": "/end"}
        return 200, asked.method.encode() + b" " + asked.body + b" " + str(asked.header("content-type")).encode()

    upstream.says = says
    # urllib would follow a redirect itself
    connection = HTTPConnection("127.0.0.1", router.port, timeout=10)
    connection.request("POST", "/", b"in")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (status, body)
    connection.close()


def test_a_redirect_without_end_fails_and_credentials_stay_at_home(upstream: Service, tmp_path: Path) -> None:
    upstream.asked.clear()
    upstream.says = lambda asked: (302, b"", {"Location": "/again"})
    with routing(tmp_path, sequence({"serviceUrl": upstream.url})) as router:
        status, body, _ = ask(router.url)
    assert status == 500
    assert json.loads(body)["cause"] == f'Post "{upstream.url}": stopped after 10 redirects'
    assert len(upstream.asked) == 11
    with service() as elsewhere:
        upstream.says = lambda asked: (307, b"", {"Location": f"http://localhost:{elsewhere.port}/"})
        spec = sequence({"serviceUrl": upstream.url})
        with routing(tmp_path, spec, env={"PROPAGATE_HEADERS": ""}) as router:
            assert ask(router.url, headers={"Authorization": "secret", "X-Kept": "1"})[0] == 200
        (asked,) = elsewhere.asked
        assert (asked.header("authorization"), asked.header("x-kept")) == (None, "1")


def test_all_headers_go_on_but_those_of_a_connection(upstream: Service, tmp_path: Path) -> None:
    upstream.asked.clear()
    upstream.says = lambda asked: (200, b"{}")
    with routing(tmp_path, sequence({"serviceUrl": upstream.url}), env={"PROPAGATE_HEADERS": ""}) as router:
        router.raw(
            b"POST / HTTP/1.1\r\nhost: x\r\nAUTHORIZATION: t\r\nx-two: 1\r\nX-TWO: 2\r\nUser-Agent: me\r\n"
            b"Content-Type: text/own\r\nConnection: close\r\nContent-Length: 2\r\nTE: trailers\r\n\r\n{}"
        )
    (asked,) = upstream.asked
    assert sorted(asked.headers) == [
        ("Authorization", "t"), ("Content-Length", "2"), ("Content-Type", "text/own"),
        ("Host", f"127.0.0.1:{upstream.port}"), ("User-Agent", "me"), ("X-Two", "1"), ("X-Two", "2"),
    ]  # fmt: skip


def test_a_hundred_clients_at_once_are_answered_each_its_own(router: Router, upstream: Service) -> None:
    upstream.says = lambda asked: (200, asked.body)

    def client(number: int) -> list[bool]:
        connection, right = HTTPConnection("127.0.0.1", router.port, timeout=30), []
        for turn in range(5):
            body = json.dumps([number, turn]).encode()
            connection.request("POST", "/", body)
            right.append(connection.getresponse().read() == body)
        connection.close()
        return right

    with ThreadPoolExecutor(100) as pool:
        assert [right for found in pool.map(client, range(100)) for right in found] == [True] * 500


def test_large_bodies_pass_and_larger_ones_are_refused(upstream: Service, tmp_path: Path) -> None:
    upstream.says = lambda asked: (200, asked.body * (2 if asked.body.startswith(b"2") else 1))
    with routing(tmp_path, sequence({"serviceUrl": upstream.url}), more=("--max-body-mib", "1")) as router:
        body = b"1" + b"x" * (2**20 - 1)
        assert ask(router.url, body)[:2] == (200, body)
        status, said, _ = ask(router.url, b"2" + b"x" * (2**20 - 1))
        assert (status, json.loads(said)["cause"].partition("the ")[2]) == (
            500,
            "answer must have at most 1 MiB, found more",
        )
        for head in (b"Content-Length: 3000000", b"Transfer-Encoding: chunked"):
            with router.connect() as s:
                s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % head)
                for _ in range(30):
                    s.sendall((b"186A0\r\n%b\r\n" if b"chunked" in head else b"%b") % (b"x" * 100_000))
                s.shutdown(socket.SHUT_WR)
                assert received(s).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_waits_for_a_continue_gets_one(router: Router, upstream: Service) -> None:
    upstream.says = lambda asked: (200, asked.body)
    with router.connect() as s:
        s.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"hi")
        assert received(s).endswith(b"\r\n\r\nhi")
    said = router.raw(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")


def test_requests_on_one_connection_are_answered_in_order(router: Router, upstream: Service) -> None:
    upstream.says = lambda asked: (200, asked.body)
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d"
    with router.connect() as s:
        s.sendall(b"".join(request % i for i in range(200)) + b"nonsense\r\n\r\n")
        said = received(s)
    good, _, bad = said.partition(b"HTTP/1.1 400 Bad Request")
    assert [int(part[-3:]) for part in good.split(b"HTTP/1.1 200 OK")[1:]] == [*range(200)]
    assert b"the request must be HTTP/1.1" in bad


def test_an_upgrade_is_not_taken_and_its_body_is_read(router: Router, upstream: Service) -> None:
    upstream.says = lambda asked: (200, asked.body)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"
    for framed in (b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"):
        last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        said = router.raw(head + framed + last)
        assert said.count(b"HTTP/1.1 200 OK") == 2
        assert b"\r\n\r\nbodyHTTP" in said


def test_old_clients_and_heads_are_answered(router: Router, upstream: Service) -> None:
    said = router.raw(b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    assert said.endswith(b'{"a":1}')
    kept = b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert router.raw(kept + b"POST / HTTP/1.0\r\n\r\n").count(b"200 OK") == 2
    head = router.raw(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.endswith(b"Content-Length: 7\r\n\r\n")


def test_a_service_is_asked_over_tls(tmp_path: Path) -> None:
    key, certificate = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ByHand(context) as secret:
        secret.says = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
        spec = sequence({"serviceUrl": f"https://localhost:{secret.port}/"})
        with routing(tmp_path, spec, env={"SSL_CERT_FILE": str(certificate)}) as router:
            assert ask(router.url)[:2] == (200, b"secret")
        with routing(tmp_path, spec) as router:
            status, body, _ = ask(router.url)
            assert (status, "failed to verify certificate" in json.loads(body)["cause"]) == (500, True)


def test_spans_are_logged_for_requests_whose_trace_is_recorded(upstream: Service, tmp_path: Path) -> None:
    upstream.says = lambda asked: (404, b"{}")
    trace, parent = "a" * 32, "b" * 16
    spec = sequence({"serviceUrl": upstream.url, "name": "first"}, {"serviceUrl": "http://127.0.0.1:1/"})
    with routing(tmp_path, spec) as router:
        ask(router.url, headers={"traceparent": f"00-{trace}-{parent}-00"})
        ask(router.url, headers={"traceparent": "nonsense"})
        ask(router.url, headers={"traceparent": f"00-{trace}-{parent}-01"})
        until(lambda: sum("span" in one for one in router.said()) >= 2)
        spans = [one["span"] for one in router.said() if "span" in one]
    assert [(s["trace"], s["parent"], s["attributes"]) for s in spans] == [
        (trace, parent, {"graph": "g", "node": "root", "step": "first", "status": 404, "error": "status 404"}),
        (
            trace,
            parent,
            {"graph": "g", "node": "root", "step": "http://127.0.0.1:1/", "status": 0, "error": "no answer"},
        ),
    ]
    assert all(s["start"] <= s["end"] for s in spans)


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for localhost, signed by itself."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return folder / "key", folder / "certificate"
