"""A user's own script as the worker runs it: in PyTorch on two ranks, in JAX and TensorFlow on one."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from seaway.model import package
from seaway.training.spec import ENV, TrainSpec
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.training.inputs import free_port
from tests.training.preloaded import Preloaded, Run, preloaded

SCRIPTS = Path(__file__).parent / "scripts"


def spec_of(folder: Path, script: Path | str, **given: Any) -> TrainSpec:
    params = given.pop("params", {})
    found = make_inputs(folder, tiny_contract(), params=params)
    checkpoints = str(folder / "checkpoints")
    return dataclasses.replace(found, entrypoint=str(script), checkpoints=checkpoints, **given)


def ranks(run: Preloaded, spec: TrainSpec, count: int = 1, **env: str) -> list[Run]:
    """All ranks of a training, to their end."""
    told = {ENV: spec.to_json(), "SEAWAY_LOG_FORMAT": "json", **env}
    if count == 1:
        return run.run([told])
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    return run.run([{**told, **world, "RANK": str(rank)} for rank in range(count)])


def metrics(out: str, name: str) -> list[float]:
    return [float(v) for v in re.findall(rf"^\S+Z {name}=(\S+)$", out, re.M)]


def test_pytorch_on_two_ranks_survives_the_loss_of_one_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    script = SCRIPTS / "torch_dcp.py"
    with preloaded(tmp_path / "logs", "torch", "torch.distributed.checkpoint") as run:
        whole = spec_of(tmp_path / "whole", script)
        first, second = ranks(run, whole, 2)
        assert (first.code, second.code) == (0, 0), first.err + second.err
        curve = metrics(first.out, "train_loss")
        assert len(curve) == 4
        assert curve[-1] < curve[0]
        assert metrics(second.out, "train_loss") == []
        assert package.load(Path(whole.output)).info["agreement"]["max_difference"] < 1e-5
        assert not Path(whole.checkpoints).exists()

        cut = spec_of(tmp_path / "cut", script)
        first, second = ranks(run, cut, 2, DIE_AT="1/1")
        assert (first.code, second.code) == (138, -9), first.err
        assert first.err.splitlines()[-1].startswith("error: rank 0 of 2 cannot go on: ")
        assert not Path(cut.output).exists()
        first, _ = ranks(run, cut, 2)
        assert first.code == 0, first.err
        reached = int(re.findall(r"goes on after epoch (\d)", first.out)[0])
        assert reached in (1, 2)  # rank 1 may have died before rank 0 had its files
        assert metrics(first.out, "train_loss") == pytest.approx(curve[reached:], abs=1e-6)


@pytest.mark.parametrize(("script", "module"), [("jax_orbax.py", "jax"), ("tensorflow_checkpoint.py", "tensorflow")])
def test_other_frameworks_save_their_own_checkpoints_and_go_on_from_them(
    tmp_path: Path, script: str, module: str
) -> None:
    spec = spec_of(tmp_path, tmp_path / script)
    text = (SCRIPTS / script).read_text()
    cut = text.replace("    ctx.report(", "    if epoch == 2: raise RuntimeError('cut off')\n    ctx.report(")
    assert cut != text
    with preloaded(tmp_path / "logs", module) as run:
        (tmp_path / script).write_text(cut)
        (first,) = ranks(run, spec)
        assert first.code == 1, first.err
        assert first.err.splitlines()[-1].startswith(f"error: {tmp_path / script} failed at line ")
        assert first.err.splitlines()[-1].endswith("RuntimeError: cut off")
        (tmp_path / script).write_text(text)
        (second,) = ranks(run, spec)
    assert second.code == 0, second.err
    assert "goes on after 2" in second.out
    assert len(metrics(second.out, "train_loss")) == 1
    assert metrics(second.out, "auc")[0] > 0.7
    assert package.load(Path(spec.output)).info["agreement"]["max_difference"] < 1e-5
