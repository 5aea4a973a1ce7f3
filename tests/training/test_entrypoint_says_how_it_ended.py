"""The worker of users' own Python: exit codes and last lines for whatever a program may do."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.model import package
from seaway.storage import uri as storage
from seaway.training.own.lost import lost_peer
from seaway.training.spec import ENV
from tests.support.object_store import ObjectStore
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.training.preloaded import Preloaded, Run, preloaded

SAVE = """
import numpy as np
from seaway import training
ctx = training.context()
width = len(ctx.train.names)
weight = np.linspace(-1, 1, width * 2, dtype=np.float32).reshape(width, 2) / 1000
graph = training.dense_graph([(weight, np.zeros(2))], classifies=True)
def predict(x):
    scores = np.exp(np.nan_to_num(x) @ weight)
    return scores / scores.sum(axis=1, keepdims=True)
"""


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    with preloaded(
        tmp_path_factory.mktemp("logs"), "seaway.training.own.entrypoint", "numpy", "onnx", "onnxruntime"
    ) as f:
        yield f


def ended(fork: Preloaded, folder: Path, text: str, *, entrypoint: str = "", env: dict[str, str] | None = None) -> Run:
    """Run a program to its end."""
    if not entrypoint:
        entrypoint = str(folder / "program.py")
        Path(entrypoint).write_text(text)
    spec = dataclasses.replace(make_inputs(folder, tiny_contract(), rows=60), entrypoint=entrypoint)
    (run,) = fork.run([{ENV: spec.to_json(), "SEAWAY_LOG_FORMAT": "json", **(env or {})}])
    return run


def last(run: Run) -> str:
    return run.err.splitlines()[-1]


def test_a_program_that_saves_a_model_ends_well(fork: Preloaded, tmp_path: Path) -> None:
    native = "import pathlib; d = pathlib.Path('%s'); d.mkdir(); (d / 'w').write_text('x')" % (tmp_path / "own")
    save = f"ctx.save(graph, predict=predict, native='{tmp_path / 'own'}', params={{'a': 1}}, estimator='linear')"
    run = ended(fork, tmp_path, f"{SAVE}\n{native}\n{save}\n")
    assert run.code == 0, run.err
    found = package.load(tmp_path / "package")
    assert (found.info["estimator"], found.info["params"]) == ("linear", {"a": 1})
    assert found.info["native"] == {"format": "own", "files": ["native/w"]}
    assert " auc=" in run.out


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("print('done')", 65, "error: .*program.py must save a model before it ends"),
        ("", 65, "must save a model"),
        ("import sys; sys.exit(7)", 7, "error: the program ended itself with exit code 7"),
        ("raise SystemExit('no such column')", 1, "error: no such column"),
        ("def f():\n    return {}['x']\nf()", 1, r"error: .*program.py failed at line 3 of program.py: KeyError: 'x'"),
        ("x = bytearray(1 << 62)", 1, "MemoryError: it asked for more memory than there is"),
        ("def f(:", 65, "error: entrypoint must be a Python script that can be read"),
        ("raise RuntimeError('[x.cc:5] Gloo connectFullMesh failed')", 1, "RuntimeError"),
        (f"{SAVE}\nctx.save(graph, predict=lambda x: 1 - predict(x))", 65, "error: the graph must agree"),
        (f"{SAVE}\nctx.save(graph, predict=lambda x: predict(x)[:, 0])", 65, r"answer numbers of shape \(20, 2\)"),
        (f"{SAVE}\nctx.save(b'no model', predict=predict)", 65, "error: the model must be ONNX"),
        (f"{SAVE}\nctx.save('/nowhere.onnx', predict=predict)", 65, "found nothing at /nowhere.onnx"),
        (f"{SAVE}\nctx.report(step=3, loss=float('nan'))", 65, "error: metric 'loss' must be finite, found nan at st"),
        (f"{SAVE}\nctx.report(step=3, loss='low')", 65, "metric 'loss' must be a number, found 'low' at step 3"),
    ],
)
def test_every_end_has_its_code_and_its_words(fork: Preloaded, tmp_path: Path, text: str, code: int, said: str) -> None:
    import re

    run = ended(fork, tmp_path, text)
    assert run.code == code, run.err
    assert re.search(said, last(run)), run.err
    assert not (tmp_path / "package").exists()


def test_a_traceback_shows_the_program_alone(fork: Preloaded, tmp_path: Path) -> None:
    run = ended(fork, tmp_path, "def f():\n    raise ValueError('three\\nlines\\nlong')\n\nf()\n")
    assert "runpy" not in run.err
    assert "entrypoint.py" not in run.err
    assert "    raise ValueError" in run.err
    assert last(run).endswith("ValueError: three")


def test_a_lost_peer_is_worth_a_retry_of_all(fork: Preloaded, tmp_path: Path) -> None:
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "WORLD_SIZE": "2", "RANK": "1"}
    run = ended(fork, tmp_path, "raise RuntimeError('[pair.cc:5] Connection closed by peer [127.0.0.1]')", env=world)
    assert run.code == 138
    assert last(run).startswith("error: rank 1 of 2 cannot go on: Connection closed by peer")


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("no_such_module_at_all", "found no module 'no_such_module_at_all'"),
        ("no.such.module", "found no module 'no.such.module' "),
        ("program.py", "must be a whole path or a URI, found 'program.py'"),
        ("/no/program.py", "must exist, nothing is there"),
        ("gopher://x/program.py", "no file system for this scheme"),
    ],
)
def test_an_entrypoint_that_is_not_there_is_told(fork: Preloaded, tmp_path: Path, entrypoint: str, said: str) -> None:
    run = ended(fork, tmp_path, "", entrypoint=entrypoint)
    assert run.code == 65
    assert said in last(run)


def test_a_module_and_a_uri_run_as_the_main_program(fork: Preloaded, tmp_path: Path, s3: ObjectStore) -> None:
    text = "import sys\nassert __name__ == '__main__'\nprint('ran', sys.argv[0])\nsys.exit(9)"
    by_uri = ended(fork, tmp_path, text, entrypoint="", env=dict(s3.env))
    assert by_uri.code == 9
    assert f"ran {tmp_path}/program.py" in by_uri.out
    storage.write_bytes("s3://box/program.py", text.encode())
    remote = ended(fork, tmp_path, "", entrypoint="s3://box/program.py", env=dict(s3.env))
    assert (remote.code, "program.py" in remote.out) == (9, True), remote.err
    module = ended(fork, tmp_path, "", entrypoint="this")
    assert "Beautiful is better than ugly." in module.out
    assert last(module).startswith("error: this must save a model before it ends")


def test_sigterm_ends_a_program_that_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("print('begun', flush=True)\nimport threading\nthreading.Event().wait()\n")
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), rows=60), entrypoint=str(tmp_path / "program.py"))
    command = [sys.executable, "-m", "seaway.training.own.entrypoint"]
    env = os.environ | {ENV: spec.to_json()}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert any("begun" in line for line in process.stdout if "begins" not in line)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143


class XlaRuntimeError(RuntimeError):
    pass


class UnavailableError(Exception):
    pass


UnavailableError.__module__ = "tensorflow.python.framework.errors_impl"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[a.cc:1] Read error [127.0.0.1]:5: Connection reset by peer"), True),
        (RuntimeError("NCCL communicator was aborted on rank 1"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("Gloo"), False),
        (XlaRuntimeError("UNAVAILABLE: Gloo all-reduce failed"), True),
        (XlaRuntimeError("INVALID_ARGUMENT: shapes differ"), False),
        (UnavailableError("Collective ops is aborted by: failed to connect to all addresses"), True),
        (KeyError("gloo"), False),
    ],
)
def test_errors_that_mean_a_lost_peer_are_known(error: Exception, lost: bool) -> None:
    assert bool(lost_peer(error)) is lost
