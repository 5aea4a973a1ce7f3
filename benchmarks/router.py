"""What a hop through the laptop's graph router costs, beside no hop at all and a common proxy.

    python benchmarks/router.py [--seconds 4] [--repeats 5] [--body 300]

One and the same request, answered by one and the same small server:

    floor      the service itself, asked directly: what the client and the service cost
    seaway     `python -m seaway.serving.router` with a Sequence of one step before it
    chain      the same router with two steps, the second asked with the first one's answer if a condition holds
    aiohttp    a proxy of aiohttp's server and client on uvloop

What is measured has one core; the service and the client (wrk, or our own where wrk is missing) the other. They take
turns; medians are printed. Limit: seaway's CPU per request at most 0.5x aiohttp's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from load import load as load_from_here
from serving import CORES, cpu_s, free_port

CONNECTIONS = 16
PROXIES = ("seaway", "chain", "aiohttp")
ANSWER = b'{"predictions":[{"label":true,"probability":0.7709529}]}'


def serve_service(port: int) -> None:
    import httptools
    import uvloop

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)

    class Service(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_message_complete(self) -> None:
            self.transport.write(head + ANSWER)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


def serve_aiohttp(port: int, url: str) -> None:
    import aiohttp
    import uvloop
    from aiohttp import web

    async def serve() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def proxy(request: web.Request) -> web.Response:
                body = await request.read()
                async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                    return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", proxy)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await asyncio.Event().wait()

    uvloop.run(serve())


def graph(name: str, url: str) -> str:
    steps: list[dict[str, Any]] = [{"serviceUrl": url, "dependency": "Hard"}]
    if name == "chain":
        steps.append({"serviceUrl": url, "data": "$response", "condition": "predictions.#(probability>0.5)"})
    return json.dumps({"nodes": {"root": {"routerType": "Sequence", "steps": steps}}})


def start(name: str, port: int, url: str, folder: Path) -> subprocess.Popen[bytes]:
    if name in ("seaway", "chain"):
        command = [sys.executable, "-m", "seaway.serving.router", "--graph-json", graph(name, url), "--port", str(port)]
    else:
        command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--url", url]
    core = CORES[-1] if name == "service" else CORES[0]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def load(port: int, folder: Path, seconds: int, connections: int) -> tuple[int, float, float]:
    """Requests answered with 200, and the median and the 99th percentile of their latencies in us; 0 where unknown."""
    if shutil.which("wrk") is None:
        body = (folder / "body").read_bytes()
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        answered = load_from_here(port, request, seconds=seconds, connections=connections, core=CORES[-1])
        return answered, 0.0, 0.0
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(folder / "post.lua"),
         f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}),
    ).stdout  # fmt: skip
    found = re.search(r"(\d+) requests in", out)
    if "Non-2xx" in out or "Socket errors" in out or found is None:
        raise SystemExit(out)
    units = {"us": 1.0, "ms": 1e3, "s": 1e6}
    times = {p: float(v) * units[u] for p, v, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", out)}
    return int(found[1]), times["50"], times["99"]


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", b"{}"), timeout=5).close()
            return
        except OSError as e:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{e}\n{log.read_text()[-3000:]}") from e
            time.sleep(0.05)


def bench(args: argparse.Namespace, folder: Path) -> int:
    body = json.dumps({"instances": ["x" * args.body]}).encode()
    (folder / "body").write_bytes(body)
    (folder / "post.lua").write_text(
        f'local f = io.open("{folder / "body"}", "rb")\nwrk.method = "POST"\nwrk.body = f:read("*a")\n'
    )
    port = free_port()
    ports = {"service": port} | {name: free_port() for name in PROXIES}
    processes = {name: start(name, one, f"http://127.0.0.1:{port}/", folder) for name, one in ports.items()}
    names = {"floor": "service", **{name: name for name in PROXIES}}
    cpu_us: dict[str, list[float]] = {name: [] for name in names}
    per_s: dict[str, list[float]] = {name: [] for name in names}
    single: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    try:
        for name, process in processes.items():
            wait_for(process, ports[name], folder / f"{name}.log")
            load(ports[name], folder, 1, CONNECTIONS)
        for _ in range(args.repeats):
            for name, of in names.items():
                before, begin = cpu_s(processes[of].pid), time.monotonic()
                answered, _, _ = load(ports[of], folder, args.seconds, CONNECTIONS)
                per_s[name].append(answered / (time.monotonic() - begin))
                cpu_us[name].append((cpu_s(processes[of].pid) - before) / answered * 1e6)
                single[name].append(load(ports[of], folder, 1, 1)[1:])
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(10)
    return report(cpu_us, per_s, single)


def report(
    cpu_us: dict[str, list[float]], per_s: dict[str, list[float]], single: dict[str, list[tuple[float, float]]]
) -> int:
    out, middle = sys.stdout, statistics.median
    out.write(f"{CONNECTIONS} connections, one core\n")
    out.write(f"{'':10}{'CPU us/request':>16}{'requests/s':>12}{'one at a time, p50/p99 us':>28}\n")
    for name in cpu_us:
        p50, p99 = (middle(one[i] for one in single[name]) for i in (0, 1))
        out.write(f"{name:10}{middle(cpu_us[name]):16.0f}{middle(per_s[name]):12,.0f}{p50:20.0f}/{p99:.0f}\n")
    ours, theirs = middle(cpu_us["seaway"]), middle(cpu_us["aiohttp"])
    out.write(f"CPU per request, seaway over aiohttp: {ours / theirs:.2f}x (limit 0.5)\n")
    return 0 if ours <= 0.5 * theirs else 1


def main() -> int:
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=4)
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--body", type=int, default=300, help="bytes of the request's one instance")
    p.add_argument("--serve", choices=("service", "aiohttp"))
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--url", default="")
    args = p.parse_args()
    if args.serve == "service":
        serve_service(args.port)
    elif args.serve == "aiohttp":
        serve_aiohttp(args.port, args.url)
    else:
        with tempfile.TemporaryDirectory(prefix="seaway-bench-") as folder:
            return bench(args, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
