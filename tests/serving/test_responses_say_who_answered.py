"""Response headers and metrics."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from seaway.observe import trace
from tests.serving.models import ROW, RUN_ID, v2

INFER = "/v2/models/flights/infer"


def test_a_response_names_model_version_run_and_trace(client: httpx.Client) -> None:
    headers = client.post(INFER, json=v2(ROW)).headers
    assert headers["content-type"] == "application/json"
    assert headers["x-seaway-model"] == "flights"
    assert headers["x-seaway-model-version"] == "1"
    assert headers["x-seaway-run-id"] == RUN_ID
    assert headers["x-seaway-trace-id"] == trace.trace_id(RUN_ID)
    assert len(headers["x-request-id"]) == 32
    assert headers["x-request-id"] != client.post(INFER, json=v2(ROW)).headers["x-request-id"]


def test_a_refusal_names_them_too(client: httpx.Client) -> None:
    response = client.post(INFER, content=b"{", headers={"x-request-id": "mine"})
    assert response.status_code == 400
    assert response.headers["x-seaway-model"] == "flights"
    assert response.headers["x-request-id"] == "mine"


def test_the_callers_trace_and_request_id_are_kept(client: httpx.Client) -> None:
    sent = {"traceparent": trace.traceparent("other", "step"), "x-request-id": "a-1"}
    headers = client.post(INFER, json=v2(ROW), headers=sent).headers
    assert headers["x-seaway-trace-id"] == trace.trace_id("other")
    assert headers["x-request-id"] == "a-1"


def test_what_is_no_trace_or_request_id_is_replaced(client: httpx.Client) -> None:
    sent = {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x-request-id": b"\xff" * 3}
    headers = client.post(INFER, json=v2(ROW), headers=sent).headers
    assert headers["x-seaway-trace-id"] == trace.trace_id(RUN_ID)
    assert len(headers["x-request-id"]) == 32


def scrape(client: httpx.Client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.text)
    return {(s.name, *sorted(s.labels.values())): s.value for f in families for s in f.samples}


def test_requests_rows_violations_and_times_are_counted(client: httpx.Client) -> None:
    before = scrape(client)
    client.post(INFER, json=v2(*[ROW] * 3))
    client.post("/v1/models/flights:predict", json={"instances": [ROW]})
    client.post(INFER, json=v2({**ROW, "carrier": "XX"}, {**ROW, "carrier": "YY", "hour": 99}))
    client.post("/v2/models/nobody/infer", json={})
    after = scrape(client)
    grown = {key: value - before.get(key, 0.0) for key, value in after.items() if value != before.get(key, 0.0)}
    assert grown[("seaway_requests_total", "1", "200", "flights", "v2")] == 1
    assert grown[("seaway_requests_total", "1", "200", "flights", "v1")] == 1
    assert grown[("seaway_requests_total", "1", "400", "flights", "v2")] == 1
    assert grown[("seaway_requests_total", "", "", "404", "v2")] == 1
    assert grown[("seaway_rows_total", "1", "flights")] == 4
    assert grown[("seaway_contract_violations_total", "1", "carrier", "flights")] == 2
    assert grown[("seaway_contract_violations_total", "1", "flights", "hour")] == 1
    for phase in ("preprocess", "predict", "postprocess"):
        assert grown[(f"request_{phase}_seconds_count", "flights")] == 2
        assert grown[(f"request_{phase}_seconds_bucket", "+Inf", "flights")] == 2
        assert 0 < grown[(f"request_{phase}_seconds_sum", "flights")] < 2
    assert after[("seaway_requests_in_flight",)] == 0
    assert after[("process_resident_memory_bytes",)] > 1e7
