"""Hyperparameters of the networks, and what a replica's environment tells it, are taken or refused in words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.model.contract import Task
from seaway.training.network.hyperparameters import DEFAULTS, KINDS, choose
from seaway.training.network.progress import one_cycle
from seaway.training.place import Place
from seaway.training.world import TIMEOUT_ENV, timeout_s, world

REFUSED: list[tuple[Task, dict[str, Any], str]] = [
    ("classification", {"estimator": "mpl"}, r"one of \['mlp', 'linear'\] for classification, found 'mpl'.*'mlp'"),
    ("classification", {"hidde": 3}, "found 'hidde': did you mean 'hidden'"),
    ("classification", {"loss": "mse"}, "mlp takes the params .* found 'loss'"),
    ("regression", {"class_weight": "balanced"}, "found 'class_weight'"),
    ("regression", {"loss": "poisson"}, r"loss must be one of \['mse', 'huber'\], found 'poisson'"),
    ("regression", {"estimator": "linear", "dropout": 0.1}, "linear takes the params"),
    ("classification", {"seed": 3}, "takes the spec's seed"),
    ("classification", {"hidden": []}, "hidden must be 1 to 16 widths"),
    ("classification", {"hidden": [128, 0]}, "hidden must be 1 to 16 widths"),
    ("classification", {"hidden": "wide"}, "hidden must be 1 to 16 widths"),
    ("classification", {"dropout": 1}, "dropout must be a number from 0 to 0.95, found 1"),
    ("classification", {"learning_rate": 0}, "learning_rate must be a number over 0 and at most 10, found 0"),
    ("classification", {"learning_rate": "nan"}, "learning_rate"),
    ("classification", {"learning_rate": float("nan")}, "learning_rate"),
    ("classification", {"epochs": 2.5}, "epochs must be a whole number from 1 to 10,000, found 2.5"),
    ("classification", {"epochs": True}, "epochs must be"),
    ("classification", {"epochs": float("inf")}, "epochs must be"),
    ("classification", {"batch_size": "many"}, "batch_size must be"),
    ("classification", {"patience": None}, "patience must be"),
]


@pytest.mark.parametrize(("task", "params", "reason"), REFUSED)
def test_what_does_not_hold_is_refused_by_name(task: Task, params: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        choose(task, params, rows=1000)


@pytest.mark.parametrize(
    ("given_", "name", "taken"),
    [
        ([64, 32.0], "hidden", (64, 32)),
        ("64,32", "hidden", (64, 32)),
        ("[64, 32]", "hidden", (64, 32)),
        (64, "hidden", (64,)),
        ("0.5", "dropout", 0.5),
        (20.0, "epochs", 20),
        ("balanced", "class_weight", "balanced"),
        (None, "class_weight", "none"),
    ],
)
def test_values_come_as_people_and_katib_write_them(given_: Any, name: str, taken: Any) -> None:
    _, chosen = choose("classification", {name: given_}, rows=1000)
    assert getattr(chosen, name) == taken


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_network_is_the_default_and_every_default_may_be_given(task: Task) -> None:
    assert choose(task, {}, rows=1000)[0] == "mlp"
    for name, kinds in KINDS[task].items():
        for key in kinds.keys() & DEFAULTS[name].keys():
            choose(task, {"estimator": name, key: DEFAULTS[name][key]}, rows=1000)


@given(rows=st.integers(1, 10**9))
def test_batches_and_epochs_follow_the_rows(rows: int) -> None:
    _, chosen = choose("classification", {}, rows=rows)
    assert 32 <= chosen.batch_size <= 2048
    assert 6 <= chosen.epochs <= 60
    assert chosen.epochs == 60 or chosen.epochs * math.ceil(rows / chosen.batch_size) >= 600


@given(done=st.floats(0, 1))
def test_the_learning_rate_rises_and_falls(done: float) -> None:
    assert 0 <= one_cycle(done) <= 1
    assert one_cycle(0) < one_cycle(0.1) < one_cycle(0.2) == 1 > one_cycle(0.6) > one_cycle(1) >= 0


WORLD = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "23456", "WORLD_SIZE": "2", "RANK": "1"}


def test_a_replica_reads_its_place_from_the_environment() -> None:
    assert world(WORLD).place == Place(rank=1, world_size=2)
    assert world({}).place == Place()
    assert world({"WORLD_SIZE": "1", "RANK": "0"}).place == Place()
    assert timeout_s({}) == 600
    assert timeout_s({TIMEOUT_ENV: "2.5"}) == 2.5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"RANK": ""}, r"found no \['RANK'\]"),
        ({"RANK": "2"}, "found rank 2 of 2"),
        ({"WORLD_SIZE": "two"}, "must be whole numbers"),
        ({"WORLD_SIZE": "1"}, "found rank 1 of 1"),
    ],
)
def test_an_environment_that_does_not_hold_is_refused(change: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        world(WORLD | change)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"{TIMEOUT_ENV} must be a number of seconds over 0, found '{text}'"):
        timeout_s({TIMEOUT_ENV: text})
