"""Boosted trees that were trained, as the packaging takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb

from seaway.training.bundles import Bundles
from seaway.training.sklearn.convert import standardised
from seaway.training.xgboost import export
from seaway.training.xgboost.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

CHECKPOINT = "booster.ubj"


@dataclass(frozen=True, kw_only=True)
class XGBoostModel:
    """Trees, on bundled columns; values are trained on the standardised target."""

    estimator: str
    chosen: Hyperparameters
    booster: xgb.Booster
    """Its best rounds alone."""
    width: int
    """Features that the model is given."""
    bundles: Bundles | None
    classes: int
    """K; 0 for values."""
    losses: tuple[float, ...]
    """On the validation rows after each round; empty without such rows."""
    target_mean: float = 0.0
    target_std: float = 1.0
    libraries: tuple[str, ...] = ()
    reports: Mapping[str, str] = field(default_factory=dict)
    """How the machine was used, texts by file name."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The hyperparameters."""
        return self.chosen.to_dict()

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        width = self.bundles.width if self.bundles else self.width
        model = export.convert(bytes(self.booster.save_raw("json")), width)
        if self.bundles:
            model = self.bundles.prepend(model, self.width)
        return model if self.classes else standardised(model, self.target_mean, self.target_std)

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Probabilities [n, K], or values [n] in the target's unit."""
        answers = self.booster.inplace_predict(self.bundles.apply(features) if self.bundles else features)
        if not self.classes:
            values: NDArray[np.float64] = answers.reshape(-1).astype(np.float64) * self.target_std + self.target_mean
            return values
        return np.column_stack([1 - answers, answers]) if answers.ndim == 1 else answers

    def save_native(self, folder: Path) -> dict[str, Any]:
        """Write the booster in xgboost's own binary JSON."""
        self.booster.save_model(folder / CHECKPOINT)
        out: dict[str, Any] = {"format": "xgboost", "file": f"native/{CHECKPOINT}", "losses": list(self.losses)}
        if self.bundles:
            out["bundles"] = self.bundles.to_dict()
        if not self.classes:
            out["target"] = {"mean": self.target_mean, "std": self.target_std}
        return out
