"""The networks' training, in JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seaway.training import worker
from seaway.training.jax import group
from seaway.training.network import fit as network
from seaway.training.network.learner import Framework, Learner, NetworkSpec
from seaway.training.network.model import NetworkModel
from seaway.training.peers import Peers
from seaway.training.spec import TrainSpec
from seaway.training.worker import TrainingData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package; of several ranks each process calls it, with its environment set."""
    return worker.train(spec, fit, group.joined)


def fit(spec: TrainSpec, data: TrainingData) -> NetworkModel:
    """Train the network that the spec names, together with the other ranks; see `seaway.training.network.fit.fit`."""
    return network.fit(spec, data, FRAMEWORK)


def _build(spec: NetworkSpec, peers: Peers, weights: Mapping[str, NDArray[np.float32]]) -> Learner:
    # what JAX is told when it is loaded depends on the ranks, who have met by now
    from seaway.training.jax.learner import JaxLearner

    return JaxLearner(spec, peers, weights)


FRAMEWORK = Framework(name="jax", libraries=("jax", "flax", "optax"), build=_build, takes=frozenset({"precision"}))
"""How JAX trains networks."""
