"""A trained network, as the packaging takes it and as a checkpoint brings it back.

In: weights and what was learnt of the data. Out: answers, an ONNX graph, and the native checkpoint: safetensors beside
JSON, from which the network can be built again and trained further.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seaway.training.encoding import Encoding
from seaway.training.pytorch.export import to_onnx
from seaway.training.pytorch.hyperparameters import Hyperparameters
from seaway.training.pytorch.network import Network

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray
    from torch import Tensor

WEIGHTS, CONFIG = "network.safetensors", "network.json"
_ROWS = 16_384
"""Of one forward pass."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the network's scores mean."""

    classes: int
    """0 for values."""
    mean: float = 0.0
    """What a value of 0 means."""
    std: float = 1.0
    """What a value of 1 is above that."""


@dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A network on the CPU, in evaluation mode."""

    estimator: str
    chosen: Hyperparameters
    encoding: Encoding
    target: Target
    network: Network
    losses: tuple[Mapping[str, float], ...]
    """Of each epoch."""
    best_epoch: int
    libraries: tuple[str, ...] = ("torch", "safetensors")

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters it was trained with."""
        return self.chosen.to_dict()

    @property
    def target_std(self) -> float:
        """Of the training target."""
        return self.target.std

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        return to_onnx(
            self.encoding,
            self.network,
            classifies=self.target.classes > 0,
            target_mean=self.target.mean,
            target_std=self.target.std,
        )

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Probabilities [n, K], or values [n] in the target's unit."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(features), _ROWS):
                numbers, codes = self.encoding.apply(features[start : start + _ROWS])
                scores = self.network(torch.from_numpy(numbers), torch.from_numpy(codes))
                parts.append((scores.softmax(dim=1) if self.target.classes else scores[:, 0]).numpy())
        if not parts:
            return np.empty((0, self.target.classes) if self.target.classes else 0, np.float32)
        answers: NDArray[Any] = np.concatenate(parts)
        return answers if self.target.classes else answers.astype(np.float64) * self.target.std + self.target.mean

    def save_native(self, folder: Path) -> dict[str, Any]:
        """Write weights and configuration."""
        from safetensors.torch import save_file

        save_file(self.network.state_dict(), folder / WEIGHTS)
        config = self.config() | {"losses": list(self.losses), "best_epoch": self.best_epoch}
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        return {"format": "safetensors", "file": f"native/{WEIGHTS}", "config": f"native/{CONFIG}"}

    def config(self) -> dict[str, Any]:
        """All but the weights, as JSON."""
        return {
            "estimator": self.estimator,
            "params": self.params,
            "encoding": self.encoding.to_dict(),
            "target": {"classes": self.target.classes, "mean": self.target.mean, "std": self.target.std},
        }


def build(encoding: Encoding, chosen: Hyperparameters, target: Target) -> Network:
    """An untrained network; its weights follow torch's seed."""
    return Network(
        encoding,
        hidden=chosen.hidden,
        embedding_dim=chosen.embedding_dim,
        dropout=chosen.dropout,
        answers=target.classes or 1,
    )


def restored(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], *, losses: list[dict[str, float]], best_epoch: int
) -> TorchModel:
    """The model of a configuration and weights."""
    chosen = Hyperparameters(**{**config["params"], "hidden": tuple(config["params"]["hidden"])})
    encoding, target = Encoding.from_dict(config["encoding"]), Target(**config["target"])
    network = build(encoding, chosen, target)
    network.load_state_dict(dict(weights))
    return TorchModel(
        estimator=config["estimator"],
        chosen=chosen,
        encoding=encoding,
        target=target,
        network=network.eval(),
        losses=tuple(losses),
        best_epoch=best_epoch,
    )
