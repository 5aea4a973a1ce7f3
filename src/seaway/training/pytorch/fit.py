"""Training a network in PyTorch, on each of the ranks."""

from __future__ import annotations

from seaway.training import worker
from seaway.training.network import fit as network
from seaway.training.network.model import NetworkModel
from seaway.training.pytorch import group
from seaway.training.pytorch.learner import FRAMEWORK
from seaway.training.spec import TrainSpec
from seaway.training.worker import TrainingData


def fit(spec: TrainSpec, data: TrainingData) -> NetworkModel:
    """Train the network that the spec names; see `seaway.training.network.fit.fit`."""
    return network.fit(spec, data, FRAMEWORK)


def train(spec: TrainSpec) -> worker.Trained:
    """Train and package; of several ranks each process calls it, with its environment set."""
    return worker.train(spec, fit, group.joined)
