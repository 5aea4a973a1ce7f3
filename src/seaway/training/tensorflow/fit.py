"""The networks' training, in TensorFlow."""

from __future__ import annotations

from seaway.training import worker
from seaway.training.network import fit as network
from seaway.training.network.model import NetworkModel
from seaway.training.spec import TrainSpec
from seaway.training.tensorflow import group
from seaway.training.worker import TrainingData


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package; of several ranks each process calls it, with its environment set."""
    return worker.train(spec, fit, group.joined)


def fit(spec: TrainSpec, data: TrainingData) -> NetworkModel:
    """Train the network that the spec names, together with the other ranks; see `seaway.training.network.fit.fit`."""
    # TensorFlow takes many seconds to load: the ranks have met by now
    from seaway.training.tensorflow.learner import FRAMEWORK

    return network.fit(spec, data, FRAMEWORK)
