"""A trained network of any framework, as the packaging takes it and as a checkpoint brings it back.

In: weights and what was learnt of the data. Out: answers, an ONNX graph, and the native checkpoint: safetensors beside
JSON, from which the network can be built again, in each framework that trains networks.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.training.encoding import Encoding
from seaway.training.network.encoded import Target
from seaway.training.network.export import to_onnx
from seaway.training.network.hyperparameters import Hyperparameters
from seaway.training.network.learner import Arrays, Batch, Framework, Learner, NetworkSpec
from seaway.training.peers import Alone

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

WEIGHTS, CONFIG = "network.safetensors", "network.json"
_ROWS = 16_384
"""Of one forward pass."""


@dataclass(frozen=True, kw_only=True)
class NetworkModel:
    """A trained network."""

    estimator: str
    chosen: Hyperparameters
    encoding: Encoding
    target: Target
    weights: Arrays
    framework: Framework
    losses: tuple[Mapping[str, float], ...] = ()
    """Of each epoch."""
    best_epoch: int = 0
    reports: Mapping[str, str] = field(default_factory=dict)
    """On how it was trained: texts by file name."""

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters it was trained with."""
        return self.chosen.to_dict()

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions whose versions belong into the provenance."""
        return (*self.framework.libraries, "safetensors")

    @property
    def target_std(self) -> float:
        """Of the training target."""
        return self.target.std

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        return to_onnx(
            self.encoding,
            self.weights,
            classifies=self.target.classes > 0,
            target_mean=self.target.mean,
            target_std=self.target.std,
        )

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Probabilities [n, K], or values [n] in the target's unit, as the framework computes them."""
        parts = []
        for start in range(0, len(features), _ROWS):
            numbers, codes = self.encoding.apply(features[start : start + _ROWS])
            parts.append(self._reference.scores(Batch(numbers, codes, np.zeros(len(numbers), np.float32))))
        scores = np.concatenate(parts) if parts else np.empty((0, self.target.classes or 1), np.float32)
        if not self.target.classes:
            return scores[:, 0].astype(np.float64) * self.target.std + self.target.mean
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    @functools.cached_property
    def _reference(self) -> Learner:
        """The network on this rank alone."""
        plain = dataclasses.replace(self.chosen, precision="float32", compile=False, sharding="none", accumulate=1)
        return self.framework.build(network_spec(self.encoding, self.target, plain), Alone(), self.weights)

    def save_native(self, folder: Path) -> dict[str, Any]:
        """Write weights and configuration."""
        from safetensors.numpy import save_file

        save_file({k: np.ascontiguousarray(v) for k, v in self.weights.items()}, folder / WEIGHTS)
        config = self.config() | {"losses": list(self.losses), "best_epoch": self.best_epoch}
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        return {"format": "safetensors", "file": f"native/{WEIGHTS}", "config": f"native/{CONFIG}"}

    def config(self) -> dict[str, Any]:
        """All but the weights, as JSON."""
        return {
            "estimator": self.estimator,
            "params": self.params,
            "encoding": self.encoding.to_dict(),
            "target": dataclasses.asdict(self.target),
        }


def network_spec(
    encoding: Encoding,
    target: Target,
    chosen: Hyperparameters,
    *,
    class_weights: tuple[float, ...] = (),
    seed: int = 0,
) -> NetworkSpec:
    """The network for rows so encoded."""
    return NetworkSpec(
        numbers=len(encoding.mean),
        codes=len(encoding.offsets),
        table_rows=encoding.rows,
        classes=target.classes,
        chosen=chosen,
        class_weights=class_weights,
        seed=seed,
    )


def restored(
    config: Mapping[str, Any],
    weights: Arrays,
    framework: Framework,
    *,
    losses: list[dict[str, float]],
    best_epoch: int,
    reports: Mapping[str, str] | None = None,
) -> NetworkModel:
    """The model of a configuration and weights."""
    return NetworkModel(
        estimator=config["estimator"],
        chosen=Hyperparameters(**{**config["params"], "hidden": tuple(config["params"]["hidden"])}),
        encoding=Encoding.from_dict(config["encoding"]),
        target=Target(**config["target"]),
        weights=weights,
        framework=framework,
        losses=tuple(losses),
        best_epoch=best_epoch,
        reports=reports or {},
    )
