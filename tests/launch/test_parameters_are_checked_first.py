"""A parameter that no framework takes is refused before a job is made."""

from __future__ import annotations

import pytest

from seaway.errors import InputError
from seaway.launch.train import train


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_framework_takes_is_refused_at_once(seed: int) -> None:
    with pytest.raises(InputError, match=f"seed must be from 0 to 4,294,967,295, found {seed}"):
        train(
            train_features="/t", validation_features="/v", validation_rows="/r", features="/f", model="/m", name="x",
            framework="sklearn", estimator="", params={}, seed=seed, dataset_digest="", cpu="", memory="", retries=0,
            deadline_s=0, namespace="", patch={}, dry_run=True,
        )  # fmt: skip
