"""The worker as a process: exit codes, last lines, Katib's metrics, and SIGTERM."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from seaway.model import package
from seaway.training.spec import ENV, TrainSpec
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs

COMMAND = [sys.executable, "-m", "seaway.training.sklearn"]


def environment(spec: TrainSpec | None) -> dict[str, str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
    return known | {"SEAWAY_LOG_FORMAT": "json", "SEAWAY_RUN_ID": "run-7"} | ({ENV: spec.to_json()} if spec else {})


def run(spec: TrainSpec | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(COMMAND, env=environment(spec), capture_output=True, text=True, timeout=120, check=False)


def test_a_training_ends_in_a_package_and_metrics_that_katib_reads(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), params={"max_iter": 5})
    done = run(spec)
    assert done.returncode == 0, done.stderr
    assert package.load(Path(spec.output)).name == "tiny"
    # Katib's default filter, on lines that begin with an RFC 3339 stamp
    pattern = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)$", re.M)
    found = {name: float(value) for name, value, *_ in pattern.findall(done.stdout)}
    assert set(found) == {"auc", "log_loss", "accuracy"}
    assert found["auc"] > 0.8
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = {line["message"]: line for line in lines}
    assert told["trained"]["estimator"] == "hist_gradient_boosting"
    assert told["wrote the package"]["rows_over_tolerance"] == 0
    assert told["trained"]["logging.googleapis.com/labels"]["run_id"] == "run-7"


def test_a_wrong_input_ends_in_one_line_and_exit_code_1(tmp_path: Path) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=60, params={"learning_rat": 1})
    done = run(spec)
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith("error: hist_gradient_boosting takes the params")
    assert "Traceback" not in done.stderr
    assert not Path(spec.output).exists()


def test_a_store_that_does_not_answer_is_worth_a_retry(tmp_path: Path) -> None:
    spec = dataclasses.replace(make_inputs(tmp_path, tiny_contract(), rows=60), contract="s3://box/contract")
    nobody = {"SEAWAY_S3_ENDPOINT": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    env = environment(spec) | nobody
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: s3://box/contract")


def test_a_missing_spec_is_told() -> None:
    done = run(None)
    assert done.returncode == 65
    assert done.stderr.startswith(f"error: {ENV} must hold the TrainSpec")


def test_sigterm_stops_the_training_and_leaves_nothing(tmp_path: Path) -> None:
    endless = {"max_iter": 1_000_000, "early_stopping": False, "max_leaf_nodes": 3}
    spec = make_inputs(tmp_path, tiny_contract(), params=endless)
    spec = dataclasses.replace(spec, output=str(tmp_path / "out" / "package"))
    (tmp_path / "tmp").mkdir()
    env = environment(spec) | {"TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(COMMAND, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if "read the training data" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "tmp").iterdir()) == []
