"""Promotions of a package whose evaluation the test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seaway.launch.promote import promote


def evaluation(folder: Path, *, auc: float = 0.9, champion: float | None = None) -> str:
    """An evaluation in which the model's AUC is ``auc``, a linear model's 0.7; its path."""
    found = {
        "primary": "auc",
        "directions": {"auc": "higher"},
        "metrics": {"auc": auc},
        "baselines": {"linear": {"auc": 0.7}, "trivial": {"auc": 0.5}},
        "champion": None if champion is None else {"uri": "u", "version": "v", "metrics": {"auc": champion}},
    }
    path = folder / "evaluation.json"
    path.write_text(json.dumps(found))
    return str(path)


def promoted(folder: Path, model: str | Path, service: str, **changes: Any) -> Any:
    """Promote a package; ``changes`` are arguments of `promote` that are to be otherwise."""
    arguments: dict[str, Any] = {
        "model": str(model),
        "evaluation": changes.get("evaluation") or evaluation(folder),
        "summary": str(folder / "summary.md"),
        "service": service,
        "metric": "",
        "margin": 0.0,
        "min_gain": 0.0,
        "baseline": "linear",
        "fail_if_not_promoted": False,
        "min_replicas": 1,
        "max_replicas": 1,
        "cpu": "",
        "memory": "",
        "timeout_s": 60,
        "namespace": "",
        "patch": {},
        "dry_run": False,
    }
    return promote(**{**arguments, **changes})
