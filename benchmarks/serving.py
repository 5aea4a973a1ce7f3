"""What the model server costs, beside the least it could cost and beside KServe's own.

    python benchmarks/serving.py [--package URI] [--seconds 4] [--repeats 5]

Four servers answer one and the same request, one row of the flights, Open Inference Protocol v2 in JSON:

    seaway     `python -m seaway.serving`: contract, metrics, headers
    floor      a bare ASGI handler: parses, runs the same ONNX session, answers; no check, no metrics, no headers
    kserve     kserve's ModelServer around that same session
    pipeline   kserve's ModelServer around a scikit-learn pipeline on the same columns, for context

Each server has one core, the client (wrk, or our own where wrk is missing) the other. The servers take turns; the
medians are printed. Limits: seaway's CPU per request at most 1.5x the floor's; its requests/s at least 2.5x kserve's.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from load import load

CONNECTIONS = 8
CORES = sorted(os.sched_getaffinity(0))
MODEL = "flights"
PATH = f"/v2/models/{MODEL}/infer"
SERVERS = ("seaway", "floor", "kserve", "pipeline")


def serve_floor(package: str, port: int) -> None:
    import uvicorn

    from seaway.model import package as packages

    with packages.opened(package) as opened:
        session = opened.session()
    dtypes = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64, "BOOL": np.int64}
    names = [o.name for o in session.get_outputs()]
    kinds = {"tensor(float)": "FP32", "tensor(bool)": "BOOL", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}
    datatypes = [kinds[o.type] for o in session.get_outputs()]
    used = {i.name for i in session.get_inputs()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        request = orjson.loads(body)
        feeds = {i["name"]: np.array(i["data"], dtypes[i["datatype"]]) for i in request["inputs"] if i["name"] in used}
        outputs = [
            {"name": name, "datatype": datatype, "shape": a.shape, "data": a.ravel()}
            for name, datatype, a in zip(names, datatypes, session.run(None, feeds), strict=True)
        ]
        answer = {"model_name": MODEL, "model_version": "1", "outputs": outputs}
        out = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(out))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": out})

    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


def serve_kserve(package: str, port: int, *, pipeline: Path | None = None) -> None:
    import kserve
    from kserve import InferOutput, InferRequest, InferResponse

    if pipeline is None:
        from seaway.model import package as packages

        with packages.opened(package) as opened:
            session = opened.session()
        names = [o.name for o in session.get_outputs()]
        used = {i.name for i in session.get_inputs()}
        datatype = {
            "tensor(float)": "FP32",
            "tensor(bool)": "BOOL",
            "tensor(int64)": "INT64",
            "tensor(string)": "BYTES",
        }
        datatypes = [datatype[o.type] for o in session.get_outputs()]
    else:
        import joblib
        import pandas as pd

        estimator = joblib.load(pipeline)

    class Wrapped(kserve.Model):  # type: ignore[misc]
        async def predict(
            self, payload: InferRequest, headers: Any = None, response_headers: Any = None
        ) -> InferResponse:
            if pipeline is None:
                inputs = {i.name: i for i in payload.inputs if i.name in used}
                answers = session.run(None, {name: _array(i) for name, i in inputs.items()})
                found = list(zip(names, datatypes, answers, strict=True))
            else:
                frame = pd.DataFrame({i.name: i.data for i in payload.inputs})
                found = [("probabilities", "FP64", estimator.predict_proba(frame))]
            outputs = [
                InferOutput(name=name, shape=list(a.shape), datatype=datatype, data=a.ravel().tolist())
                for name, datatype, a in found
            ]
            return InferResponse(response_id="1", model_name=self.name, infer_outputs=outputs)

    model = Wrapped(MODEL)
    model.ready = True
    kserve.ModelServer(http_port=port, enable_grpc=False, workers=1).start([model])


def _array(i: Any) -> Any:
    return np.array(i.data, {"BYTES": np.object_, "FP64": np.float64}.get(i.datatype, np.int64))


def make_package(folder: Path) -> str:
    """A package of boosted trees on the flights, made by the steps of `train_and_serve`."""
    from line import features

    from seaway.training.sklearn.fit import train
    from seaway.training.spec import TrainSpec

    made = features(folder / "flights.parquet", folder, target="late", exclude=["delay_minutes"])
    package = str(folder / "package")
    train(TrainSpec(name=MODEL, version="1", framework="sklearn", output=package, **made))
    return package


def make_request(contract: Any, rows: Any) -> bytes:
    """The first row without a missing value, as a v2 request."""
    from seaway.model.contract import V2_DATATYPE

    row = rows.drop_nulls().head(1)
    inputs = []
    for column in contract.columns:
        values = row[column.name]
        data = values.dt.epoch("us").to_list() if column.dtype == "timestamp" else values.to_list()
        inputs.append({"name": column.name, "shape": [1], "datatype": V2_DATATYPE[column.dtype], "data": data})
    return orjson.dumps({"inputs": inputs})


def make_pipeline(contract: Any, rows: Any, path: Path) -> None:
    """The same columns in scikit-learn, fitted on a part of the rows: what is timed is one row, not the fit."""
    import joblib
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline as pipeline
    from sklearn.preprocessing import OneHotEncoder

    strings = [c.name for c in contract.columns if c.dtype == "string"]
    numbers = [c.name for c in contract.columns if c.dtype != "string"]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", min_frequency=50, sparse_output=False), strings),
        ("passthrough", numbers),
    )
    part = rows.sample(20_000, seed=0)
    times = [c.name for c in contract.columns if c.dtype == "timestamp"]
    x = part.with_columns(part[t].dt.epoch("us") for t in times).select(contract.names).to_pandas()
    estimator = pipeline(columns, HistGradientBoostingClassifier(max_iter=100))
    joblib.dump(estimator.fit(x, part[contract.target.name].to_numpy()), path)


def load_with_wrk(port: int, body: Path, seconds: int) -> int:
    """Requests answered with 200."""
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}", "rb")\nwrk.method = "POST"\nwrk.body = f:read("*a")\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )
    out = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}{PATH}"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}),
    ).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    found = re.search(r"(\d+) requests in", out)
    if found is None:
        raise SystemExit(out)
    return int(found[1])


def load_with_asyncio(port: int, body: Path, seconds: int) -> int:
    """The same, where wrk is missing."""
    content = body.read_bytes()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return load(port, head.encode() + content, seconds=seconds, connections=CONNECTIONS, core=CORES[-1])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process with its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start(name: str, package: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    ours = [sys.executable, "-m", "seaway.serving", "--model", f"{MODEL}={package}", "--port", str(port)]
    other = [
        sys.executable,
        __file__,
        "--serve",
        name,
        "--package",
        package,
        "--port",
        str(port),
        "--folder",
        str(folder),
    ]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            ours if name == "seaway" else other,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, {CORES[0]}),
        )
    return process, port


def ask(port: int, body: bytes) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return bytes(response.read())


def wait_for(process: subprocess.Popen[bytes], port: int, body: bytes, log: Path) -> bytes:
    deadline = time.monotonic() + 90
    while True:
        try:
            return ask(port, body)
        except OSError as e:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{e}\n{log.read_text()[-3000:]}") from e
            time.sleep(0.1)


def main() -> int:
    p = argparse.ArgumentParser()
    p.add_argument("--package", default="")
    p.add_argument("--seconds", type=int, default=4)
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--only", default=",".join(SERVERS))
    p.add_argument("--serve", choices=SERVERS[1:])
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--folder", type=Path)
    args = p.parse_args()
    if args.serve == "floor":
        serve_floor(args.package, args.port)
    elif args.serve is not None:
        serve_kserve(
            args.package, args.port, pipeline=args.folder / "pipeline.joblib" if args.serve == "pipeline" else None
        )
    else:
        with tempfile.TemporaryDirectory(prefix="seaway-bench-") as folder:
            return bench(args, Path(folder))
    return 0


def bench(args: argparse.Namespace, folder: Path) -> int:
    import importlib.util

    import polars as pl

    from seaway.data import flights
    from seaway.model import package as packages

    wanted = [s for s in args.only.split(",") if s in SERVERS]
    flights.write(folder)
    package = args.package or make_package(folder)
    with packages.opened(package) as opened:
        contract = opened.contract
    rows = pl.read_parquet(folder / "flights.parquet").filter(pl.col(contract.target.name).is_not_null())
    body = make_request(contract, rows)
    (folder / "body.json").write_bytes(body)
    if importlib.util.find_spec("kserve") is None:
        sys.stdout.write("kserve is not installed: its rows are left out (pip install kserve==0.21.0)\n")
        wanted = [s for s in wanted if s not in ("kserve", "pipeline")]
    if "pipeline" in wanted:
        make_pipeline(contract, rows, folder / "pipeline.joblib")
    ask = load_with_wrk if shutil.which("wrk") else load_with_asyncio
    servers = {name: start(name, package, folder) for name in wanted}
    cpu_us: dict[str, list[float]] = {name: [] for name in wanted}
    per_s: dict[str, list[float]] = {name: [] for name in wanted}
    try:
        for name, (process, port) in servers.items():
            answer = wait_for(process, port, body, folder / f"{name}.log")
            sys.stdout.write(f"{name:9} {answer[:200]!r}\n")
            ask(port, folder / "body.json", 1)
        for _ in range(args.repeats):
            for name, (process, port) in servers.items():
                before, begin = cpu_s(process.pid), time.monotonic()
                answered = ask(port, folder / "body.json", args.seconds)
                seconds = time.monotonic() - begin
                cpu_us[name].append((cpu_s(process.pid) - before) / answered * 1e6)
                per_s[name].append(answered / seconds)
    finally:
        for process, _ in servers.values():
            process.terminate()
        for process, _ in servers.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
    return report(cpu_us, per_s)


def report(cpu_us: dict[str, list[float]], per_s: dict[str, list[float]]) -> int:
    def ratios(of: dict[str, list[float]], a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(of[a], of[b], strict=True))

    out = sys.stdout
    out.write(
        f"\none row, v2 JSON, {CONNECTIONS} connections, one core\n{'':10}{'CPU us/request':>16}{'requests/s':>12}\n"
    )
    for name in cpu_us:
        spread = f"{min(cpu_us[name]):.0f}-{max(cpu_us[name]):.0f}"
        out.write(
            f"{name:10}{statistics.median(cpu_us[name]):16.0f}{statistics.median(per_s[name]):12,.0f}   ({spread})\n"
        )
    ok = True
    if {"seaway", "floor"} <= cpu_us.keys():
        ratio = ratios(cpu_us, "seaway", "floor")
        ok &= ratio <= 1.5
        out.write(f"CPU per request, seaway over floor: {ratio:.2f}x (limit 1.5)\n")
    if {"seaway", "kserve"} <= cpu_us.keys():
        ratio = ratios(per_s, "seaway", "kserve")
        ok &= ratio >= 2.5
        out.write(f"requests/s, seaway over kserve: {ratio:.2f}x (limit 2.5)\n")
    if {"seaway", "pipeline"} <= cpu_us.keys():
        out.write(f"requests/s, seaway over the scikit-learn pipeline: {ratios(per_s, 'seaway', 'pipeline'):.0f}x\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
