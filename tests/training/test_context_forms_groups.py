"""init_distributed forms a group whichever controller told the ranks who they are."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seaway.errors import InputError
from seaway.training import init_distributed
from seaway.training.spec import ENV
from seaway.training.world import timeout_s
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.training.inputs import free_port
from tests.training.preloaded import preloaded

MEETS = Path(__file__).parent / "scripts" / "meets.py"
Dialect = Callable[[int, int], dict[str, str]]
DIALECTS: dict[str, Dialect] = {
    "PyTorchJob": lambda rank, port: {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}", "WORLD_SIZE": "2", "RANK": f"{rank}",
    },
    "torch-distributed": lambda rank, port: {
        "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": f"{port}", "PET_NNODES": "2", "PET_NODE_RANK": f"{rank}",
    },
    "JAXJob": lambda rank, port: {
        "COORDINATOR_ADDRESS": "127.0.0.1", "COORDINATOR_PORT": f"{port}", "NUM_PROCESSES": "2",
        "PROCESS_ID": f"{rank}",
    },
    "jax-distributed": lambda rank, port: {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": f"{rank}",
        # as in a pod whose image has the package kubernetes: JAX must not ask the cluster
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("framework", "module", "dialects"),
    [("pytorch", "torch", ("PyTorchJob", "torch-distributed")), ("jax", "jax", ("JAXJob", "jax-distributed"))],
)
def test_two_ranks_meet_under_every_controller(
    tmp_path: Path, framework: str, module: str, dialects: tuple[str, ...]
) -> None:
    spec = make_inputs(tmp_path, tiny_contract(), rows=30, params={"framework": framework})
    spec = dataclasses.replace(spec, entrypoint=str(MEETS))
    with preloaded(tmp_path / "logs", module) as run:
        for dialect in dialects:
            port = free_port()
            ranks = run.run([{ENV: spec.to_json(), **DIALECTS[dialect](rank, port)} for rank in range(2)])
            assert [one.code for one in ranks] == [3, 3], ranks[0].err + ranks[1].err
            assert all("all ranks give 3" in one.out for one in ranks)


def test_tensorflow_is_told_the_addresses_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DIALECTS["PyTorchJob"](0, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="the address of every rank by TF_CONFIG, found none for 2 ranks"):
        init_distributed("tensorflow")


def test_a_cluster_of_one_is_none_for_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(alone))
    assert init_distributed("tensorflow").world_size == 1
    assert "TF_CONFIG" not in os.environ


def test_what_does_not_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"framework must be one of .*, found 'torch'"):
        init_distributed("torch")  # type: ignore[arg-type]
    monkeypatch.setenv("SEAWAY_PEER_TIMEOUT_S", "soon")
    with pytest.raises(InputError, match="a number of seconds over 0, found 'soon'"):
        timeout_s(os.environ)
