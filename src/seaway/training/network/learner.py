"""What a framework does for a network: steps, losses, scores, weights. All else of a training is the same for all.

In: batches as NumPy arrays and a `NetworkSpec`. Out: weights as NumPy arrays by the names that `shapes` lists, so a
network begun in one framework goes on in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, SupportsFloat

import numpy as np

from seaway.training.network.hyperparameters import Hyperparameters
from seaway.training.peers import Peers

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[np.float32]"]
"""Float32 arrays by name."""


@dataclass(frozen=True)
class Batch:
    """Rows of one rank, encoded."""

    numbers: NDArray[np.float32]
    """[n, D], C order."""
    codes: NDArray[np.int32]
    """[n, C] rows of the table, C order."""
    target: NDArray[np.int64] | NDArray[np.float32]
    """[n] class indices, or standardised values."""

    def __len__(self) -> int:
        return len(self.target)

    def parts(self, count: int) -> Iterator[Batch]:
        """``count`` batches of neighbouring rows, alike but for one row and never copied: micro-batches of a step."""
        for k in range(count):
            yield self.rows(len(self) * k // count, len(self) * (k + 1) // count)

    def rows(self, start: int, stop: int) -> Batch:
        """Neighbouring rows, never copied."""
        return Batch(self.numbers[start:stop], self.codes[start:stop], self.target[start:stop])


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A network's form and how it learns: embeddings of codes beside numbers, layers with ReLU and dropout, scores.

    A layer as wide as its input adds to it (residual), after ReLU and dropout: x + dropped(relu(layer(x))).
    """

    numbers: int
    """D."""
    codes: int
    """C."""
    table_rows: int
    """Of the one embedding table of all codes."""
    classes: int
    """K; 0 for values, which have one score."""
    chosen: Hyperparameters
    class_weights: tuple[float, ...] = ()
    """[K] weights of the rows of each class; empty for equal ones."""
    seed: int = 0

    @property
    def answers(self) -> int:
        """Scores of a row."""
        return self.classes or 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the first layer's input, then of each hidden layer's output."""
        return (self.numbers + self.codes * self.chosen.embedding_dim, *self.chosen.hidden)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every weight, by name; a layer's weight is [outputs, inputs], as in torch."""
        found: dict[str, tuple[int, ...]] = {"table.weight": (self.table_rows, self.chosen.embedding_dim)}
        for k, (width, wide) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            found |= {f"layers.{k}.weight": (wide, width), f"layers.{k}.bias": (wide,)}
        return found | {"head.weight": (self.answers, self.widths[-1]), "head.bias": (self.answers,)}

    @property
    def flops(self) -> int:
        """Floating point operations of one row's step: each weight of a layer is multiplied and added three times,
        forwards and twice backwards; look-ups and what goes element by element are not counted.
        """
        return 6 * sum(shape[0] * shape[1] for name, shape in self.shapes().items() if _is_matrix(name))


def _is_matrix(name: str) -> bool:
    return name.endswith(".weight") and name != "table.weight"


def initial(spec: NetworkSpec) -> Arrays:
    """The weights to begin with, the same in every framework: uniform within 1/sqrt(inputs) as torch's Linear draws
    them, embeddings normal with 0.3.
    """
    random = np.random.default_rng(np.random.SeedSequence([spec.seed, 0x5EA]))
    out: Arrays = {}
    for name, shape in spec.shapes().items():
        if name == "table.weight":
            out[name] = random.normal(0.0, 0.3, shape).astype(np.float32)
            continue
        inputs = spec.shapes()[name.replace(".bias", ".weight")][1]
        bound = 1.0 / np.sqrt(inputs) if inputs else 0.0
        out[name] = random.uniform(-bound, bound, shape).astype(np.float32)
    return out


class Learner(Protocol):
    """A network that learns in one framework. AdamW (beta 0.9 and 0.999, epsilon 1e-8), weight decay on all weights."""

    @property
    def device(self) -> str:
        """What it computes on, for people: ``cpu``, ``cuda:0`` ..."""
        ...

    def step(
        self,
        batch: Batch,
        *,
        rate: float,
        everyones: int,
        exchange: bool = True,
        computed: Callable[[], None] | None = None,
    ) -> SupportsFloat:
        """Learn from one step's rows.

        The gradient is that of the sum of all ranks' losses over ``everyones``, so that each row of the step counts
        the same, wherever it is. A learner that takes ``accumulate`` goes through `Batch.parts` of that number, adds
        their gradients up and then learns once.

        Args:
            batch: this rank's rows; may be empty, and may differ in length by one from step to step.
            rate: learning rate.
            everyones: rows of all ranks in this step.
            exchange: False learns from this rank's rows alone, with no word from others; ``everyones`` is its own.
            computed: called once this rank's own gradients are there, before any are exchanged: where each rank
                stands is measured so.

        Returns:
            The sum of this rank's losses; may be computed only when it is asked for.
        """
        ...

    def loss(self, batch: Batch) -> SupportsFloat:
        """The sum of losses over rows, nothing learnt and nothing dropped.

        Every rank calls it equally often, the last time perhaps with no rows.
        """
        ...

    def scores(self, batch: Batch) -> NDArray[np.float32]:
        """[n, K] scores (before softmax) or [n, 1], nothing dropped: the reference of the packaging gate."""
        ...

    def weights(self) -> Arrays:
        """A copy of the weights, by the names of `NetworkSpec.shapes`; called by all ranks."""
        ...

    def optimizer(self) -> Arrays:
        """A copy of what the optimizer keeps, by names of its own; called by all ranks."""
        ...

    def restore(self, weights: Mapping[str, NDArray[np.float32]], optimizer: Mapping[str, NDArray[np.float32]]) -> None:
        """Be where a training was when it gave these; an empty ``optimizer`` begins it anew. Called by all ranks."""
        ...

    def begin_epoch(self, number: int) -> None:
        """Draw what is random in this epoch (dropout) from the seed, ``number`` and the rank alone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Framework:
    """How one framework trains networks."""

    name: str
    """``pytorch``, ``jax`` or ``tensorflow``."""
    libraries: tuple[str, ...]
    """Distributions whose versions belong into the provenance."""
    build: Callable[[NetworkSpec, Peers, Mapping[str, NDArray[np.float32]]], Learner]
    """A learner that begins with the given weights; called by all ranks.

    Called once more at the end, with `seaway.training.peers.Alone` and on the ranks that ask for answers alone, for
    the `Learner.scores` that the package is compared with; the group of ranks may have parted by then.
    """
    takes: frozenset[str] = frozenset()
    """Of `hyperparameters.OPTIONAL`, what it takes; all else is refused unless it is as by default."""
