"""A network that learns in TensorFlow: a Keras model, a loop of its own, gradients summed by the strategy of all ranks.

In: batches as NumPy arrays. Out: see `seaway.training.network.learner.Learner`. Keras's ``fit`` does not run under a
MultiWorkerMirroredStrategy, and its AdamW adds epsilon before the second moment is corrected where torch adds it after,
so the step is written out here. All gradients lie one after the other in one vector: one exchange a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
import tensorflow as tf

from seaway.training.network.learner import Arrays, Batch, Framework, NetworkSpec
from seaway.training.peers import Peers
from seaway.training.tensorflow import group
from seaway.training.tensorflow.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class TensorFlowLearner:
    """See `seaway.training.network.learner.Learner`."""

    def __init__(self, spec: NetworkSpec, peers: Peers, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._spec = spec
        self._rank = peers.place.rank
        self._strategy: Any = peers.strategy if isinstance(peers, group.TensorFlowRanks) else None
        self._device = _device()
        self._epoch = self._step = self._learnt = 0
        with tf.device(self._device):
            precision = spec.chosen.precision
            reduced = precision == "bfloat16" or (precision == "auto" and "GPU" in self._device)
            self._network = Network(spec, reduced=reduced)
            self._size = sum(math.prod(shape) for shape in spec.shapes().values())
            self._first, self._second = (tf.Variable(tf.zeros([self._size]), trainable=False) for _ in _BETAS)
        self._network.assign(weights)
        numbers = tf.TensorSpec([None, spec.numbers], tf.float32)
        codes = tf.TensorSpec([None, spec.codes], tf.int32)
        target = tf.TensorSpec([None], tf.int64 if spec.classes else tf.float32)
        number, flat = tf.TensorSpec([], tf.float32), tf.TensorSpec([self._size], tf.float32)
        seed = tf.TensorSpec([2], tf.int32)
        compiled = True if spec.chosen.compile else None
        # their shapes leave the number of rows open: each is traced once
        self._gradients = tf.function(
            self._gradients_of, input_signature=[numbers, codes, target, number, seed], jit_compile=compiled
        )
        self._loss = tf.function(self._loss_of, input_signature=[numbers, codes, target])
        self._scores = tf.function(self._network.call, input_signature=[numbers, codes])
        self._update = tf.function(self._updated, input_signature=[flat, number, number, number])
        self._update_together = tf.function(self._updated_together, input_signature=[flat, number, number, number])

    @property
    def device(self) -> str:
        """What it computes on: ``cpu`` or ``cuda:0``."""
        return "cuda:0" if "GPU" in self._device else "cpu"

    def step(
        self,
        batch: Batch,
        *,
        rate: float,
        everyones: int,
        exchange: bool = True,
        computed: Callable[[], None] | None = None,
    ) -> SupportsFloat:
        """See `seaway.training.network.learner.Learner.step`."""
        gradients: Any = None
        loss: Any = None
        for part in batch.parts(self._spec.chosen.accumulate):
            its_loss, its_gradients = self._gradients(
                part.numbers, part.codes, part.target, np.float32(everyones), self._seed()
            )
            loss = its_loss if loss is None else loss + its_loss
            gradients = its_gradients if gradients is None else gradients + its_gradients
            self._step += 1
        if computed is not None:
            gradients[-1].numpy()  # a GPU may still be at it
            computed()
        self._learnt += 1
        first, second = (1 - beta**self._learnt for beta in _BETAS)
        update = self._update_together if exchange and self._strategy is not None else self._update
        update(gradients, np.float32(rate), np.float32(rate / first), np.float32(math.sqrt(second)))
        summed: SupportsFloat = loss
        return summed

    def loss(self, batch: Batch) -> SupportsFloat:
        """See `seaway.training.network.learner.Learner.loss`."""
        summed: SupportsFloat = self._loss(batch.numbers, batch.codes, batch.target)
        return summed

    def scores(self, batch: Batch) -> NDArray[np.float32]:
        """See `seaway.training.network.learner.Learner.scores`."""
        found: NDArray[np.float32] = self._scores(batch.numbers, batch.codes).numpy()
        return found

    def weights(self) -> Arrays:
        """See `seaway.training.network.learner.Learner.weights`."""
        return self._network.arrays()

    def optimizer(self) -> Arrays:
        """Both moments, in the order of the weights, and how many steps were taken (as two parts below 65,536)."""
        taken = np.array(divmod(self._learnt, 1 << 16), np.float32)
        return {"first": self._first.numpy(), "second": self._second.numpy(), "steps": taken}

    def restore(self, weights: Mapping[str, NDArray[np.float32]], optimizer: Mapping[str, NDArray[np.float32]]) -> None:
        """See `seaway.training.network.learner.Learner.restore`."""
        self._network.assign(weights)
        nothing = np.zeros(self._size, np.float32)
        self._first.assign(optimizer["first"] if optimizer else nothing)
        self._second.assign(optimizer["second"] if optimizer else nothing)
        self._learnt = int(optimizer["steps"][0]) * (1 << 16) + int(optimizer["steps"][1]) if optimizer else 0

    def begin_epoch(self, number: int) -> None:
        """See `seaway.training.network.learner.Learner.begin_epoch`."""
        self._epoch, self._step = number, 0

    def _seed(self) -> NDArray[np.int32]:
        """[2] of this step's dropout."""
        sequence = np.random.SeedSequence([self._spec.seed, self._epoch, self._rank, self._step])
        return sequence.generate_state(2).view(np.int32)

    def _gradients_of(self, numbers: Any, codes: Any, target: Any, everyones: Any, seed: Any) -> Any:
        """Sum of losses, and its gradient over ``everyones`` as one vector."""
        variables = list(self._network.named.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            summed = self._summed(self._network.call(numbers, codes, seed), target)
            shared = summed / everyones
        found = tape.gradient(shared, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return summed, tf.concat([tf.reshape(tf.convert_to_tensor(g), [-1]) for g in found], axis=0)

    def _loss_of(self, numbers: Any, codes: Any, target: Any) -> Any:
        return self._summed(self._network.call(numbers, codes), target)

    def _summed(self, scores: Any, target: Any) -> Any:
        """The sum of the rows' losses."""
        if self._spec.classes:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, scores)
            if self._spec.class_weights:
                losses *= tf.gather(tf.constant(self._spec.class_weights, tf.float32), target)
            return tf.reduce_sum(losses)
        apart = scores[:, 0] - target
        if self._spec.chosen.loss == "huber":
            wide = tf.abs(apart)
            return tf.reduce_sum(tf.where(wide <= 1, 0.5 * apart * apart, wide - 0.5))
        return tf.reduce_sum(apart * apart)

    def _updated_together(self, gradients: Any, rate: Any, first_rate: Any, root: Any) -> None:
        def summed(own: Any) -> Any:
            # a replica's tensors must be computed on it, and an argument is not
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(own))

        self._updated(self._strategy.run(summed, args=(gradients,)), rate, first_rate, root)

    def _updated(self, gradients: Any, rate: Any, first_rate: Any, root: Any) -> None:
        """AdamW as torch has it (Loshchilov and Hutter 2019).

        Args:
            gradients: of all ranks.
            rate: learning rate.
            first_rate: the rate over the first moment's correction.
            root: of the second moment's correction.
        """
        first = self._first.assign(_BETAS[0] * self._first + (1 - _BETAS[0]) * gradients)
        second = self._second.assign(_BETAS[1] * self._second + (1 - _BETAS[1]) * gradients * gradients)
        change = first_rate * first / (tf.sqrt(second) / root + _EPSILON)
        variables = list(self._network.named.values())
        sizes = [v.shape.num_elements() for v in variables]
        for variable, part in zip(variables, tf.split(change, sizes), strict=True):
            kept = 1 - rate * self._spec.chosen.weight_decay
            variable.assign(kept * variable - tf.reshape(part, variable.shape))


def _device() -> str:
    """This rank's GPU, where it has one."""
    return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"


FRAMEWORK = Framework(
    name="tensorflow",
    libraries=(group.distribution(), "keras"),
    build=TensorFlowLearner,
    takes=frozenset({"accumulate", "precision", "compile"}),
)
"""Networks trained in TensorFlow."""
