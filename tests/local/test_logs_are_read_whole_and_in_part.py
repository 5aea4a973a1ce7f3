from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes import client

from seaway.local.processes.logs import Reading, read
from tests.support.laptop import job
from tests.support.waiting import until


def write(folder: Path, pieces: list[bytes], *, begin_ns: int = 1_000_000_000) -> bytes:
    """A log in pieces a second apart, as the shim writes it."""
    end, index = 0, b""
    for number, piece in enumerate(pieces):
        end += len(piece)
        index += end.to_bytes(8, "little") + (begin_ns + number * 1_000_000_000).to_bytes(8, "little")
    (folder / "index").write_bytes(index)
    (folder / "log").write_bytes(b"".join(pieces))
    return b"".join(pieces)


def got(folder: Path, how: Reading) -> bytes:
    async def collect() -> bytes:
        return b"".join([part async for part in read(folder, how, lambda: True)])

    return asyncio.run(collect())


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.binary(max_size=5), max_size=12), wanted=st.integers(0, 14), closed=st.booleans())
def test_the_tail_is_the_last_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], wanted: int, closed: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    lines = [one.replace(b"\n", b"") + b"\n" for one in lines]
    if lines and not closed:
        lines[-1] = lines[-1][:-1] or b"x"
    whole = write(folder, lines)
    assert got(folder, Reading()) == whole
    assert got(folder, Reading(tail_lines=wanted)) == b"".join(lines[len(lines) - min(wanted, len(lines)) :])


def test_every_line_has_the_stamp_of_its_piece(tmp_path: Path) -> None:
    write(tmp_path, [b"a\nb", b"c\nd\r\n", b"e"])
    assert got(tmp_path, Reading(timestamps=True)).splitlines() == [
        b"1970-01-01T00:00:01.000000000Z a",
        b"1970-01-01T00:00:01.000000000Z bc",
        b"1970-01-01T00:00:02.000000000Z d",
        b"1970-01-01T00:00:03.000000000Z e",
    ]
    assert got(tmp_path, Reading(timestamps=True, tail_lines=1)) == b"1970-01-01T00:00:03.000000000Z e"


def test_since_begins_with_the_first_line_written_then(tmp_path: Path) -> None:
    write(tmp_path, [b"a\n", b"b\n", b"c\n"])
    assert got(tmp_path, Reading(since_ns=1_500_000_000)) == b"b\nc\n"
    assert got(tmp_path, Reading(since_ns=9_000_000_000)) == b""
    assert got(tmp_path, Reading(limit_bytes=3)) == b"a\nb"


def test_a_line_is_followed_within_a_quarter_of_a_second(api: client.ApiClient) -> None:
    script = "import time\nfor _ in range(6): print(time.time()); time.sleep(0.1)"
    client.BatchV1Api(api).create_namespaced_job("default", job("stream", "python", "-c", script))
    core = client.CoreV1Api(api)
    pods = until(lambda: core.list_namespaced_pod("default", label_selector="job-name=stream").items)
    until(lambda: core.read_namespaced_pod(pods[0].metadata.name, "default").status.phase == "Running")
    answer = core.read_namespaced_pod_log(pods[0].metadata.name, "default", follow=True, _preload_content=False)
    late = [time.time() - float(line) for line in answer]
    assert len(late) == 6
    assert sorted(late[1:])[2] < 0.25, late


def test_a_hundred_megabytes_of_log_are_kept_and_read(api: client.ApiClient) -> None:
    script = "import sys\nline = 'x' * 99 + '\\n'\nfor _ in range(1_000_000): sys.stdout.write(line)\nprint('last')"
    client.BatchV1Api(api).create_namespaced_job("default", job("long", "python", "-c", script))
    core = client.CoreV1Api(api)

    def done() -> str:
        pods = core.list_namespaced_pod("default", label_selector="job-name=long").items
        return pods[0].metadata.name if pods and pods[0].status.phase == "Succeeded" else ""

    name = until(done, timeout_s=60)
    begin = time.monotonic()
    tail = core.read_namespaced_pod_log(name, "default", tail_lines=1)
    assert tail == "last\n"
    assert time.monotonic() - begin < 1
    answer = core.read_namespaced_pod_log(name, "default", _preload_content=False)
    assert sum(len(part) for part in answer.stream(1 << 20)) == 100_000_005
