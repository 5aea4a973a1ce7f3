"""Training a network on all ranks' rows: read, encode, train, or go on from a checkpoint.

In: a TrainSpec, this rank's part of the rows, and a framework. Out: the same model on every rank. All but the steps
themselves is here, so every framework trains alike: the same rows in the same steps, from the same weights.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training import checkpoints, tables
from seaway.training.encoding import Encoding, fit_encoding, moments
from seaway.training.evidence.meter import Meter
from seaway.training.evidence.report import reports
from seaway.training.layout import read_layout
from seaway.training.network import hyperparameters
from seaway.training.network.encoded import Target, chunks, encode, read, seen
from seaway.training.network.hyperparameters import Hyperparameters
from seaway.training.network.learner import Framework, initial
from seaway.training.network.loop import Training
from seaway.training.network.model import NetworkModel, network_spec, restored
from seaway.training.network.progress import Progress
from seaway.training.network.state import Checkpoint
from seaway.training.peers import Peers, total
from seaway.training.spec import TrainSpec
from seaway.training.worker import TrainingData

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)


def fit(spec: TrainSpec, data: TrainingData, framework: Framework) -> NetworkModel:
    """Train the network that the spec names, together with the other ranks.

    Raises:
        InputError: a network or a hyperparameter that is not one, or a loss that is no number any more.
        DataError: a class of which there are no rows.
    """
    place, peers, contract = data.place, data.peers, data.contract
    name, chosen = hyperparameters.choose(
        contract.target.task, spec.params, rows=data.train.total, framework=framework.name, takes=framework.takes
    )
    if spec.measure_scaling and chosen.sharding != "none":
        raise InputError("measure_scaling must be false with sharding: no rank has a whole network to train alone")
    kept = _kept(spec, peers)
    if kept is not None and kept.state["ended"]:
        logs.info(_logger, "the training has ended before, only its package was missing")
        return _model(kept.state["config"], framework, Progress.from_dict(kept.state["progress"]), kept.arrays)
    if place.world_size > 1 and not peers.connected:
        raise InputError(f"the checkpoint of the end in {spec.checkpoints} must be whole: remove it to train anew")

    layout = read_layout(spec.features, data.train.names)
    raw = read(data.train, layout)
    counted = _counted(raw.target, len(contract.target.classes or ()), peers)
    if len(counted):
        tables.check_classes(counted.astype(np.int64), contract.target)
    encoding = fit_encoding(layout, raw.numbers, bins=chosen.bins, gather=peers.gather)
    target = _target(len(counted), raw.target, peers)
    config = _config(name, chosen, encoding, target)
    if kept is not None and not _goes_on(kept.state, config, place.world_size):
        logs.info(_logger, "the checkpoint is not used: the rows in the same files are others now")
        kept = None
    if kept is not None:  # of another number of ranks it may differ in a digit, and the weights know this one
        config = kept.state["config"]
        encoding, target = Encoding.from_dict(config["encoding"]), Target(**config["target"])
    rows = encode(raw, encoding, target)
    del raw
    held_out = None if data.validation is None else encode(read(data.validation, layout), encoding, target)

    weighed = tuple((counted.sum() / (len(counted) * counted)).tolist()) if chosen.class_weight == "balanced" else ()
    network = network_spec(encoding, target, chosen, class_weights=weighed, seed=spec.seed)
    weights = initial(network)
    weights["table.weight"][total(peers, seen(rows, encoding)) == 0] = 0.0  # a code that no row has says nothing
    learner = framework.build(network, peers, weights)
    meter = Meter(peers, rows_total=rows.total, flops_per_row=network.flops, precision=chosen.precision)
    training = Training(learner, chosen, peers=peers, seed=spec.seed, meter=meter)
    if kept is not None:
        training.restore(Progress.from_dict(kept.state["progress"]), kept.arrays)
        others = kept.state["world_size"]
        more = {} if others == place.world_size else {"ranks_before": others, "ranks": place.world_size}
        logs.info(_logger, "goes on from a checkpoint", epoch=training.progress.epoch, rank=place.rank, **more)

    def keep() -> None:
        if spec.checkpoints:
            state = {
                "config": config,
                "progress": training.progress.to_dict(),
                "world_size": place.world_size,
                "ended": False,
            }
            arrays = training.arrays()
            if place.leads:
                content = Checkpoint(state=state, arrays=arrays).to_bytes()
                checkpoints.write(spec, place, content, epoch=training.progress.epoch)

    logs.info(
        _logger,
        "training",
        framework=framework.name,
        rank=place.rank,
        world_size=place.world_size,
        device=learner.device,
        rows=rows.total,
        in_memory=not rows.mapped,
        numbers=network.numbers,
        codes=network.codes,
        table_rows=network.table_rows,
        weights=sum(w.size for w in weights.values()),
    )
    if spec.measure_scaling and place.world_size > 1:
        training.measure_scaling(rows)
    training.run(rows, held_out, keep)
    if place.leads and spec.checkpoints:
        state = {"config": config, "progress": training.progress.to_dict(), "ended": True}
        content = Checkpoint(state=state, arrays=training.best).to_bytes()
        checkpoints.write(spec, place, content, epoch=training.progress.epoch, ended=True)
    evidence = meter.finish()
    told = reports(evidence) if evidence is not None else {}
    return _model(config, framework, training.progress, training.best, told)


def _model(
    config: Any, framework: Framework, progress: Progress, weights: Any, told: Mapping[str, str] | None = None
) -> NetworkModel:
    return restored(
        config, dict(weights), framework, losses=progress.losses, best_epoch=progress.best_epoch, reports=told
    )


def _config(name: str, chosen: Hyperparameters, encoding: Encoding, target: Target) -> dict[str, Any]:
    """As `NetworkModel.config`, before there is a model."""
    return {
        "estimator": name,
        "params": chosen.to_dict(),
        "encoding": encoding.to_dict(),
        "target": {"classes": target.classes, "mean": target.mean, "std": target.std},
    }


def _kept(spec: TrainSpec, peers: Peers) -> Checkpoint | None:
    """The checkpoint to go on from, the same on every rank: rank 0 reads it for all while they are together."""
    content = b""
    if spec.checkpoints and (peers.place.leads or not peers.connected):
        content = checkpoints.newest(spec, check=Checkpoint.from_bytes)
    content = peers.share(content)
    return Checkpoint.from_bytes(content) if content else None


def _goes_on(state: Mapping[str, Any], config: Mapping[str, Any], world_size: int) -> bool:
    """Whether a checkpoint is of these rows.

    Where other ranks had other parts of them, sums differ in their last digits, and intervals by the sample of rows.
    """
    kept: Mapping[str, Any] = state["config"]
    if state["world_size"] == world_size:
        return kept == config
    if any(kept[key] != config[key] for key in ("estimator", "params")):
        return False
    before, now = kept["encoding"], config["encoding"]
    target, own = kept["target"], config["target"]
    return (
        before["layout"] == now["layout"]
        and target["classes"] == own["classes"]
        and all(np.allclose(before[key], now[key], rtol=1e-4, atol=1e-6) for key in ("mean", "std"))
        and np.allclose([target["mean"], target["std"]], [own["mean"], own["std"]], rtol=1e-6)
    )


def _counted(target: NDArray[Any], classes: int, peers: Peers) -> NDArray[np.float64]:
    """[K] rows of each class, of all ranks; empty for values."""
    own = np.zeros(classes)
    if classes:
        for here in chunks(len(target)):
            own += np.bincount(target[here], minlength=classes)
    return total(peers, own)


def _target(classes: int, values: NDArray[Any], peers: Peers) -> Target:
    if classes:
        return Target(classes=classes)
    _, mean, std = moments(values[:, None], peers.gather)
    return Target(classes=0, mean=float(mean[0]), std=float(std[0]) or 1.0)
