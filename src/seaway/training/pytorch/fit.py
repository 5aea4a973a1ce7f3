"""Training a network on all ranks' rows: read, encode, train, or go on from a checkpoint.

In: a TrainSpec and this rank's part of the rows. Out: the same model on every rank.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training import checkpoints, tables, worker
from seaway.training.encoding import Encoding, fit_encoding, moments
from seaway.training.layout import Layout, read_layout
from seaway.training.place import Place
from seaway.training.pytorch import device, group, hyperparameters
from seaway.training.pytorch.loop import Loss, Progress, Rows, Training
from seaway.training.pytorch.model import Target, TorchModel, build, restored
from seaway.training.pytorch.state import Checkpoint
from seaway.training.spec import TrainSpec
from seaway.training.tables import Part
from seaway.training.worker import TrainingData

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package; of several ranks each process calls it, with its environment set."""
    return worker.train(spec, fit, group.joined)


def fit(spec: TrainSpec, data: TrainingData) -> TorchModel:
    """Train the network that the spec names, together with the other ranks.

    Raises:
        InputError: a network or a hyperparameter that is not one, or a loss that is no number any more.
        DataError: a class of which there are no rows.
    """
    place, contract = data.place, data.contract
    name, chosen = hyperparameters.choose(contract.target.task, spec.params, rows=data.train.total)
    kept = _kept(spec, place)
    if kept is not None and kept.state["ended"]:
        logs.info(_logger, "the training has ended before, only its package was missing")
        return _model(kept.state["config"], Progress.from_dict(kept.state["progress"]), kept.tensors)
    if place.world_size > 1 and not dist.is_initialized():
        raise InputError(f"the checkpoint of the end in {spec.checkpoints} must be whole: remove it to train anew")
    layout = read_layout(spec.features, data.train.names)
    classes = len(contract.target.classes or ())
    raw = _read(data.train, layout)
    counted = group.total(np.bincount(raw.target, minlength=classes)) if classes else np.empty(0)
    if classes:
        tables.check_classes(counted.astype(np.int64), contract.target)
    encoding = fit_encoding(layout, raw.numbers, bins=chosen.bins, gather=group.gather)
    target = _target(classes, raw.target)
    rows = _encoded(raw, encoding, target)
    del raw
    held_out = None if data.validation is None else _encoded(_read(data.validation, layout), encoding, target)

    torch.manual_seed(spec.seed)
    network = build(encoding, chosen, target)
    seen = group.total(np.bincount(rows.codes.flatten(), minlength=encoding.rows))
    network.forget(torch.from_numpy(seen == 0))
    where = device.choose()
    size = sum(p.numel() for p in network.parameters())
    device.set_threads(size * chosen.batch_size / place.world_size)
    weights = torch.tensor(counted.sum() / (classes * counted)) if chosen.class_weight == "balanced" else None
    loss = _loss(chosen.loss, None if weights is None else weights.float().to(where))
    training = Training(network.to(where), chosen, loss, place=place, seed=spec.seed)
    model = TorchModel(
        estimator=name, chosen=chosen, encoding=encoding, target=target, network=network, losses=(), best_epoch=0
    )
    config = model.config()
    if kept is not None:
        if kept.state["config"] == config:
            training.restore(Progress.from_dict(kept.state["progress"]), kept.tensors)
            logs.info(_logger, "goes on from a checkpoint", epoch=training.progress.epoch, rank=place.rank)
        else:
            logs.info(_logger, "the checkpoint is not used: the rows in the same files are others now")

    def keep() -> None:
        if place.leads and spec.checkpoints:
            state = {"config": config, "progress": training.progress.to_dict(), "ended": False}
            content = Checkpoint(state=state, tensors=training.tensors()).to_bytes()
            checkpoints.write(spec, place, content, epoch=training.progress.epoch)

    logs.info(
        _logger,
        "training",
        rank=place.rank,
        world_size=place.world_size,
        device=str(where),
        threads=torch.get_num_threads(),
        rows=rows.total,
        numbers=len(encoding.mean),
        codes=len(encoding.offsets),
        table_rows=encoding.rows,
        weights=size,
    )
    training.run(rows, held_out, keep)
    best = {k: v.cpu() for k, v in training.best.items()}
    if place.leads and spec.checkpoints:
        state = {"config": config, "progress": training.progress.to_dict(), "ended": True}
        content = Checkpoint(state=state, tensors=best).to_bytes()
        checkpoints.write(spec, place, content, epoch=training.progress.epoch, ended=True)
    return _model(config, training.progress, best)


def _model(config: Any, progress: Progress, weights: Any) -> TorchModel:
    return restored(config, weights, losses=progress.losses, best_epoch=progress.best_epoch)


def _kept(spec: TrainSpec, place: Place) -> Checkpoint | None:
    """The checkpoint to go on from, the same on every rank: rank 0 reads it for all while they are together."""
    content = b""
    if spec.checkpoints and (place.leads or not dist.is_initialized()):
        content = checkpoints.newest(spec, place, check=Checkpoint.from_bytes)
    content = group.share(content)
    return Checkpoint.from_bytes(content) if content else None


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """This rank's rows before they are encoded; one-hot columns are codes already."""

    numbers: NDArray[np.float32]
    categories: NDArray[np.int64]
    target: NDArray[Any]
    total: int


def _read(part: Part, layout: Layout) -> _Raw:
    batches = [(*layout.split(batch.features), batch.target) for batch in part.batches()]
    numbers, categories, target = (np.concatenate(column) for column in zip(*batches, strict=True))
    return _Raw(numbers=numbers, categories=categories, target=target, total=part.total)


def _target(classes: int, values: NDArray[Any]) -> Target:
    if classes:
        return Target(classes=classes)
    _, mean, std = moments(values[:, None], group.gather)
    return Target(classes=0, mean=float(mean[0]), std=float(std[0]) or 1.0)


def _encoded(raw: _Raw, encoding: Encoding, target: Target) -> Rows:
    numbers, codes = encoding.encode(raw.numbers, raw.categories)
    values = raw.target if target.classes else ((raw.target - target.mean) / target.std).astype(np.float32)
    return Rows(
        numbers=torch.from_numpy(numbers),
        codes=torch.from_numpy(codes),
        target=torch.from_numpy(values),
        total=raw.total,
    )


def _loss(name: str, weights: torch.Tensor | None) -> Loss:
    if name == "cross_entropy":
        return lambda scores, target: functional.cross_entropy(scores, target, weight=weights, reduction="sum")
    if name == "mse":
        return lambda scores, target: functional.mse_loss(scores[:, 0], target, reduction="sum")
    return lambda scores, target: functional.huber_loss(scores[:, 0], target, reduction="sum")
