"""Training boosted trees on all ranks' rows: read, bundle, boost, or go on from a checkpoint.

In: a TrainSpec and this rank's part of the rows. Out: the same model on every rank.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb

from seaway.errors import InputError
from seaway.observe import logs
from seaway.training import checkpoints, tables, worker
from seaway.training.bundles import Bundles
from seaway.training.encoding import moments
from seaway.training.evidence.meter import Meter
from seaway.training.evidence.report import reports
from seaway.training.layout import Layout, read_layout
from seaway.training.peers import Peers, total
from seaway.training.spec import TrainSpec
from seaway.training.worker import TrainingData
from seaway.training.xgboost import group, hyperparameters, rows
from seaway.training.xgboost.boosting import MEASURED, Boosting
from seaway.training.xgboost.columns import Columns, Tally, worthwhile
from seaway.training.xgboost.hyperparameters import Hyperparameters
from seaway.training.xgboost.model import XGBoostModel
from seaway.training.xgboost.rows import Piece, Shard
from seaway.training.xgboost.state import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package; of several ranks each process calls it, with its environment set."""
    return worker.train(spec, fit, group.joined)


def fit(spec: TrainSpec, data: TrainingData) -> XGBoostModel:
    """Train the trees that the spec names, together with the other ranks.

    Raises:
        InputError: an estimator or a hyperparameter that is not one, or a loss that is no number any more.
        DataError: a class of which there are no rows.
    """
    place, peers, target = data.place, data.peers, data.contract.target
    name, chosen = hyperparameters.choose(target.task, spec.params)
    kept = _kept(spec, peers)
    if kept is not None and kept.state["ended"]:
        logs.info(_logger, "the training has ended before, only its package was missing")
        booster = xgb.Booster(model_file=bytearray(kept.booster))
        return _model(name, chosen, kept.state, booster)
    if place.world_size > 1 and not peers.connected:
        raise InputError(f"the checkpoint of the end in {spec.checkpoints} must be whole: remove it to train anew")

    classes = len(target.classes or ())
    layout = worthwhile(read_layout(spec.features, data.train.names))
    shard = Shard(data.train, layout)
    seen = _seen(shard, layout, classes, peers)
    if classes:
        tables.check_classes(seen.counted.astype(np.int64), target)
    state = seen.state()
    if kept is not None and not _goes_on(kept.state, state, place.world_size):
        logs.info(_logger, "the checkpoint is not used: the rows in the same files are others now")
        kept = None
    if kept is not None:  # of another number of ranks it may differ in a digit, and the trees know this one
        state = {**kept.state}
    columns = Columns(layout=layout, bundles=_bundles(state))
    label = _labels(state, seen.counted, chosen)
    threads = group.threads(peers)
    params = hyperparameters.booster_params(chosen, classes=classes, seed=spec.seed, threads=threads)
    held_out = None if data.validation is None else Shard(data.validation, layout)
    meter = Meter(peers, rows_total=data.train.total, unit="round")

    def matrix(of: Shard, cache: str, like: xgb.DMatrix | None = None) -> xgb.DMatrix:
        return rows.matrix(of, columns, label, max_bin=chosen.max_bin, threads=threads, cache=cache, like=like)

    with tempfile.TemporaryDirectory(prefix="seaway-xgboost-") as cache:
        alone_s = 0.0
        if spec.measure_scaling and place.world_size > 1:
            if place.leads:  # before xgboost knows of others
                alone_s = Boosting(params, matrix(shard, f"{cache}/alone"), None, patience=0).measure()
            peers.barrier()
        with group.boosting(peers):
            known = matrix(shard, f"{cache}/all")
            if spec.measure_scaling and place.world_size > 1:
                together_s = Boosting(params, known, None, patience=0).measure()
                alone = float(total(peers, np.array(MEASURED * len(data.train) / alone_s if alone_s else 0.0)))
                meter.baseline(alone, MEASURED * data.train.total / together_s)
            checked = None if held_out is None else matrix(held_out, f"{cache}/all", known)
            training = Boosting(
                params,
                known,
                checked,
                patience=chosen.early_stopping_rounds,
                before=b"" if kept is None else kept.booster,
                losses=() if kept is None else tuple(kept.state["losses"]),
            )
            if kept is not None:
                logs.info(_logger, "goes on from a checkpoint", round=training.rounds, rank=place.rank)

            def keep(*, ended: bool = False) -> None:
                if place.leads and spec.checkpoints:
                    now = {**state, "losses": training.losses, "world_size": place.world_size, "ended": ended}
                    content = Checkpoint(state=now, booster=training.content()).to_bytes()
                    checkpoints.write(spec, place, content, epoch=training.rounds, ended=ended)

            logs.info(
                _logger,
                "training",
                framework="xgboost",
                rank=place.rank,
                world_size=place.world_size,
                threads=threads,
                rows=data.train.total,
                in_memory=not isinstance(known, xgb.ExtMemQuantileDMatrix),
                columns=columns.width,
            )
            training.run(chosen.n_estimators, place=place, meter=meter, rows=len(data.train), keep=keep)
            best = training.finished()
        del known, checked, shard, held_out
    keep(ended=True)
    evidence = meter.finish()
    final = {**state, "losses": training.losses}
    return _model(name, chosen, final, best, reports(evidence) if evidence is not None else {})


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one look at the training rows told, those of all ranks."""

    width: int
    classes: int
    counted: NDArray[np.float64]
    """[K] rows of each class."""
    mean: float
    std: float
    bundles: Bundles | None

    def state(self) -> dict[str, Any]:
        """As JSON; what decides the columns and the target."""
        return {
            "width": self.width,
            "classes": self.classes,
            "bundles": self.bundles.to_dict() if self.bundles else None,
            "target": {"mean": self.mean, "std": self.std},
        }


def _seen(shard: Shard, layout: Layout, classes: int, peers: Peers) -> _Seen:
    tally = Tally(layout, classes=classes)
    counted, targets = np.zeros(classes), []
    for piece in shard.pieces():
        tally.add(piece.hot, piece.target)
        if classes:
            counted += np.bincount(piece.target, minlength=classes)
        else:
            targets.append(piece.target)
    mean, std = 0.0, 1.0
    if not classes:
        _, means, stds = moments(np.concatenate(targets)[:, None], peers.gather)
        mean, std = float(means[0]), float(stds[0]) or 1.0
    return _Seen(
        width=layout.width,
        classes=classes,
        counted=total(peers, counted),
        mean=mean,
        std=std,
        bundles=tally.bundles(peers),
    )


def _labels(state: Mapping[str, Any], counted: NDArray[np.float64], chosen: Hyperparameters) -> Any:
    """What a piece's rows are labelled with: classes with their weights, or standardised values."""
    mean, std = state["target"]["mean"], state["target"]["std"]
    weights = counted.sum() / (len(counted) * counted) if chosen.class_weight == "balanced" else None

    def label(piece: Piece) -> dict[str, Any]:
        if not state["classes"]:
            return {"label": ((piece.target - mean) / std).astype(np.float32)}
        out = {"label": piece.target.astype(np.float32)}
        return out if weights is None else out | {"weight": weights[piece.target].astype(np.float32)}

    return label


def _model(
    name: str,
    chosen: Hyperparameters,
    state: Mapping[str, Any],
    booster: xgb.Booster,
    told: Mapping[str, str] | None = None,
) -> XGBoostModel:
    return XGBoostModel(
        estimator=name,
        chosen=chosen,
        booster=booster,
        width=state["width"],
        bundles=_bundles(state),
        classes=state["classes"],
        losses=tuple(state["losses"]),
        target_mean=state["target"]["mean"],
        target_std=state["target"]["std"],
        libraries=(group.distribution(),),
        reports=told or {},
    )


def _bundles(state: Mapping[str, Any]) -> Bundles | None:
    raw = state["bundles"]
    if raw is None:
        return None
    columns, codes = (tuple(tuple(each) for each in raw[key]) for key in ("columns", "codes"))
    return Bundles(kept=tuple(raw["kept"]), columns=columns, codes=codes)


def _kept(spec: TrainSpec, peers: Peers) -> Checkpoint | None:
    """The checkpoint to go on from, the same on every rank: rank 0 reads it for all while they are together."""
    content = b""
    if spec.checkpoints and (peers.place.leads or not peers.connected):
        content = checkpoints.newest(spec, check=Checkpoint.from_bytes)
    content = peers.share(content)
    return Checkpoint.from_bytes(content) if content else None


def _goes_on(kept: Mapping[str, Any], now: Mapping[str, Any], world_size: int) -> bool:
    """Whether a checkpoint is of these rows; where other ranks had other parts of them, sums differ in a digit."""
    if kept["world_size"] == world_size:
        return all(kept[key] == now[key] for key in now)
    before, own = ([s["target"]["mean"], s["target"]["std"]] for s in (kept, now))
    return all(kept[key] == now[key] for key in ("width", "classes")) and np.allclose(before, own, rtol=1e-6)
