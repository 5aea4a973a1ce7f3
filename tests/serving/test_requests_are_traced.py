"""A request whose caller records its trace leaves a span in the server's log; any other leaves nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest

from seaway.observe import spanlog
from seaway.serving.access import SPANS, AccessLog
from tests.serving import models
from tests.serving.processes import Serving, serving
from tests.support.waiting import until

BODY = {"instances": [models.ROW]}
PREDICT = "/v1/models/flights:predict"


def header(*, flags: str = "01", parent: str = "b" * 16) -> tuple[str, dict[str, str]]:
    """A new trace's id, and the headers of a request within it."""
    identity = secrets.token_hex(16)
    return identity, {"traceparent": f"00-{identity}-{parent}-{flags}"}


def spans(server: Serving, identity: str) -> list[dict[str, Any]]:
    """The log lines with a span of that trace."""
    lines = [json.loads(x) for x in server.log.read_text().splitlines() if identity in x]
    return [x for x in lines if "span" in x]


def test_a_sampled_request_is_one_span_of_its_callers_trace(server: Serving, client: httpx.Client) -> None:
    identity, headers = header()
    answer = client.post(PREDICT, json=BODY, headers=headers)
    [line] = until(lambda: spans(server, identity), what="the span is written")
    found = spanlog.read(line, trace=identity)
    assert found is not None
    assert (found.name, found.kind, found.parent, found.error) == ("POST flights:predict", "request", "b" * 16, "")
    assert 0 < found.seconds < answer.elapsed.total_seconds()
    assert found.attributes == {
        "model": "flights",
        "version": answer.headers["x-seaway-model-version"],
        "protocol": "v1",
        "status": 200,
        "rows": 1,
        "request_id": answer.headers["x-request-id"],
    }
    # by these Cloud Logging and Cloud Trace group lines
    assert line["logging.googleapis.com/trace"] == identity
    assert line["logging.googleapis.com/spanId"] == found.id


def test_a_refused_request_is_a_span_that_failed(server: Serving, client: httpx.Client) -> None:
    identity, headers = header()
    assert client.post("/v2/models/flights/infer", json={}, headers=headers).status_code == 400
    [line] = until(lambda: spans(server, identity), what="the span is written")
    found = spanlog.read(line)
    assert found is not None
    assert (found.name, found.error, found.attributes["rows"]) == ("POST flights:infer", "answered 400", 0)


def test_a_question_about_a_model_is_a_span_too(server: Serving, client: httpx.Client) -> None:
    identity, headers = header()
    client.get("/v2/models/flights", headers=headers)
    [line] = until(lambda: spans(server, identity), what="the span is written")
    assert line["span"]["name"] == "GET /v2/models/flights"
    assert line["span"]["attributes"] == {"status": 200}


@pytest.mark.parametrize("flags", ["00", "02", "fe"])
def test_what_is_not_sampled_is_not_logged(server: Serving, client: httpx.Client, flags: str) -> None:
    identity, headers = header(flags=flags)
    answer = client.post(PREDICT, json=BODY, headers=headers)
    assert answer.headers["x-seaway-trace-id"] == identity
    client.post(PREDICT, json=BODY)
    later, sampled = header()
    client.post(PREDICT, json=BODY, headers=sampled)
    until(lambda: spans(server, later), what="a later span is written")
    assert identity not in server.log.read_text()


@pytest.mark.parametrize(
    "text",
    ["00-xyz-01", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'b' * 16}-01-x"],
)
def test_a_broken_header_is_answered_and_not_logged(server: Serving, client: httpx.Client, text: str) -> None:
    before = server.log.read_text().count('"span"')
    assert client.post(PREDICT, json=BODY, headers={"traceparent": text}).status_code == 200
    identity, headers = header()
    client.post(PREDICT, json=BODY, headers=headers)
    until(lambda: spans(server, identity), what="a later span is written")
    assert server.log.read_text().count('"span"') == before + 1


def test_many_sampled_requests_do_not_fill_the_disk_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def many() -> None:
        access = AccessLog(0.0)
        for _ in range(SPANS + 7):
            access.span("POST flights:predict", seconds=0.1, trace="a" * 32, parent="b" * 16, status=200)
        access.write()
        access.span("POST flights:predict", seconds=0.1, trace="a" * 32, parent="b" * 16, status=200)
        access.write()

    asyncio.run(many())
    assert [r.name for r in caplog.records].count("seaway.span") == SPANS + 1
    assert [r.getMessage().split(" ")[0] for r in caplog.records if r.levelname == "WARNING"] == ["7"]


def test_spans_noted_last_are_written_before_the_process_ends(tmp_path: Path, flights: str) -> None:
    identity, headers = header()
    with serving(tmp_path, f"flights={flights}") as server:
        httpx.post(f"{server.url}{PREDICT}", json=BODY, headers=headers)
        assert server.end() == 0
        assert len(spans(server, identity)) == 1
