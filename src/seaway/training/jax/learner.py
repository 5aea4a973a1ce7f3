"""A network that learns in JAX, compiled once though batches differ by a row.

In: batches as NumPy arrays. Out: weights as NumPy arrays. A step is three calls, none of which waits by itself: this
process's gradient as one vector, the sum of all processes', the update. So each process pads its own rows as it likes,
and there is a moment between the first two to see where each process stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.flatten_util import ravel_pytree

from seaway.training.jax.devices import Devices
from seaway.training.jax.network import Network, to_params, to_weights
from seaway.training.network.learner import Arrays, Batch, NetworkSpec
from seaway.training.peers import Peers

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUND = 8
"""Padded batches have a multiple of as many rows for each device."""


class JaxLearner:
    """See `seaway.training.network.learner.Learner`."""

    def __init__(self, spec: NetworkSpec, peers: Peers, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._spec = spec
        self._peers = peers
        self._devices = Devices(connected=peers.connected)
        self._padded = 0
        self._key = [0, 0]
        self._steps = 0
        self._params: Any
        self._moments: Any
        # AdamW's rate is a factor of its whole update, so that each step can be given another
        self._adamw = optax.adamw(1.0, b1=0.9, b2=0.999, eps=1e-8, weight_decay=spec.chosen.weight_decay)
        wanted = spec.chosen.precision
        half = wanted == "bfloat16" or (wanted == "auto" and self._devices.accelerated)
        exact = nnx.eval_shape(lambda: Network(spec, half=False, rngs=nnx.Rngs(0)))
        self._exact, self._form = nnx.split(exact)
        self._learning = nnx.graphdef(nnx.eval_shape(lambda: Network(spec, half=half, rngs=nnx.Rngs(0))))
        whole, batch = self._devices.whole, (self._devices.rows,) * 3
        self._gradient = jax.jit(self._differentiated, in_shardings=(whole, batch, whole), out_shardings=whole)
        self._update = jax.jit(self._updated, in_shardings=(whole,) * 4, out_shardings=whole, donate_argnums=(0, 1))
        self._judge = jax.jit(self._judged, in_shardings=(whole, batch, whole), out_shardings=whole)
        self._score = jax.jit(self._scored, in_shardings=(whole, batch), out_shardings=whole)
        self.restore(weights, {})

    @property
    def device(self) -> str:
        """What it computes on."""
        return self._devices.name

    def step(
        self,
        batch: Batch,
        *,
        rate: float,
        everyones: int,
        exchange: bool = True,
        computed: Callable[[], None] | None = None,
    ) -> SupportsFloat:
        """Learn from one step's rows; see `seaway.training.network.learner.Learner`."""
        self._padded = max(self._padded, self._rounded(len(batch) + 1))
        told = np.array([len(batch), *self._key, self._steps], np.uint32)
        self._steps += 1
        gradient, loss = self._gradient(self._params, self._pad(batch, self._padded), told)
        if computed is not None:
            jax.block_until_ready(gradient)
            computed()
        if exchange and self._peers.connected:
            gradient = self._devices.total(gradient)
        how = np.array([rate, 1.0 / everyones], np.float32)
        self._params, self._moments = self._update(self._params, self._moments, gradient, how)
        if computed is not None or not self._devices.accelerated:
            # where a core computes there is nothing to gain from running ahead of it, and what a step waits for would
            # be counted as the next one's computing
            jax.block_until_ready(self._params)
        out: SupportsFloat = loss
        return out

    def loss(self, batch: Batch) -> SupportsFloat:
        """The sum of losses over rows, nothing learnt and nothing dropped."""
        out: SupportsFloat = self._judge(self._params, self._pad(batch, self._power(batch)), np.uint32(len(batch)))
        return out

    def scores(self, batch: Batch) -> NDArray[np.float32]:
        """[n, K] scores or [n, 1], nothing dropped."""
        return np.array(self._score(self._params, self._pad(batch, self._power(batch))))[: len(batch)]

    def weights(self) -> Arrays:
        """A copy of the weights, by the names of `NetworkSpec.shapes`."""
        return to_weights(nnx.to_pure_dict(jax.device_get(self._params)), self._spec.shapes())

    def optimizer(self) -> Arrays:
        """A copy of AdamW's moments, ``first/NAME`` and ``second/NAME``, and of how many steps they come from."""
        adam = jax.device_get(self._moments[0])
        shapes = self._spec.shapes()
        out: Arrays = {"steps": np.array([adam.count], np.float32)}
        out |= {f"first/{k}": v for k, v in to_weights(nnx.to_pure_dict(adam.mu), shapes).items()}
        return out | {f"second/{k}": v for k, v in to_weights(nnx.to_pure_dict(adam.nu), shapes).items()}

    def restore(self, weights: Mapping[str, NDArray[np.float32]], optimizer: Mapping[str, NDArray[np.float32]]) -> None:
        """Be where a training was when it gave these; an empty ``optimizer`` begins it anew."""
        params = self._filled(weights)
        moments = jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), jax.eval_shape(self._adamw.init, params))
        if optimizer:
            first, second = (
                self._filled({k: optimizer[f"{which}/{k}"] for k in weights}) for which in ("first", "second")
            )
            adam = moments[0]._replace(count=np.array(int(optimizer["steps"][0]), np.int32), mu=first, nu=second)
            moments = (adam, *moments[1:])
        self._params, self._moments = jax.device_put((params, moments), self._devices.whole)

    def begin_epoch(self, number: int) -> None:
        """Draw dropout from the seed, ``number`` and the rank alone."""
        sequence = np.random.SeedSequence([self._spec.seed, number, self._peers.place.rank])
        self._key, self._steps = sequence.generate_state(2).tolist(), 0

    def _filled(self, weights: Mapping[str, NDArray[np.float32]]) -> Any:
        """The weights in the form that NNX merges with a network."""
        form = jax.tree.map(lambda like: like, self._form)  # a copy: it is filled in place
        nnx.replace_by_pure_dict(form, to_params({name: weights[name] for name in self._spec.shapes()}))
        return form

    def _rounded(self, rows: int) -> int:
        unit = _ROUND * self._devices.count
        return -(-max(rows, 1) // unit) * unit

    def _power(self, batch: Batch) -> int:
        """Rows to pad a batch of any length to: few different ones, so that little is compiled."""
        return self._rounded(1 << max(len(batch) - 1, 0).bit_length())

    def _pad(self, batch: Batch, rows: int) -> tuple[NDArray[Any], ...]:
        target = batch.target.astype(np.int32 if self._spec.classes else np.float32, copy=False)
        return tuple(_longer(a, rows) for a in (batch.numbers, batch.codes.astype(np.int32, copy=False), target))

    # what follows is traced

    def _differentiated(
        self, params: Any, batch: tuple[jax.Array, ...], told: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The gradient of this process's sum of losses [1, weights], and the sum."""
        numbers, codes, target = batch
        key = jax.random.fold_in(jax.random.wrap_key_data(told[1:3], impl="threefry2x32"), told[3])

        def loss(params: Any) -> jax.Array:
            scores = nnx.merge(self._learning, params)(numbers, codes, nnx.Rngs(dropout=key))
            return self._summed(scores, target, told[0])

        value, gradient = jax.value_and_grad(loss)(params)
        return ravel_pytree(gradient)[0][None], value

    def _updated(self, params: Any, moments: Any, gradient: jax.Array, how: jax.Array) -> tuple[Any, Any]:
        rate, share = how
        gradients = ravel_pytree(params)[1](gradient[0] * share)
        updates, moments = self._adamw.update(gradients, moments, params)
        return jax.tree.map(lambda p, u: p + rate * u, params, updates), moments

    def _judged(self, params: Any, batch: tuple[jax.Array, ...], rows: jax.Array) -> jax.Array:
        return self._summed(self._scored(params, batch), batch[2], rows)

    def _scored(self, params: Any, batch: tuple[jax.Array, ...]) -> jax.Array:
        scores: jax.Array = nnx.merge(self._exact, params)(batch[0], batch[1])
        return scores

    def _summed(self, scores: jax.Array, target: jax.Array, rows: jax.Array) -> jax.Array:
        """The sum of the losses of the first ``rows``; what follows them is padding."""
        name = self._spec.chosen.loss
        if name == "cross_entropy":
            each = optax.softmax_cross_entropy_with_integer_labels(scores, target)
            if self._spec.class_weights:
                each = each * jnp.asarray(self._spec.class_weights, jnp.float32)[target]
        elif name == "mse":
            each = jnp.square(scores[:, 0] - target)
        else:
            each = optax.huber_loss(scores[:, 0], target, delta=1.0)
        return jnp.where(jnp.arange(len(target)) < rows, each, 0.0).sum()


def _longer(array: NDArray[Any], rows: int) -> NDArray[Any]:
    if len(array) == rows:
        return array
    out = np.zeros((rows, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
