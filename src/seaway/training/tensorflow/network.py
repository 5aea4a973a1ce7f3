"""The network in Keras: a table to look codes up in, and fully connected layers.

In: numbers [n, D] float32 and codes [n, C] int32. Out: [n, K] scores in float32. `NetworkSpec` says what it computes,
and names its weights as torch lays them out; Keras keeps a layer's weight the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from seaway.training.network.learner import Arrays, NetworkSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Network(keras.Model):  # type: ignore[misc]  # keras is not looked into
    """Embeddings beside numbers, then layers with ReLU and dropout, residual where widths allow, then scores."""

    def __init__(self, spec: NetworkSpec, *, reduced: bool = False) -> None:
        """Build it with weights of zero.

        Args:
            spec: its form.
            reduced: multiply in bfloat16; weights and scores stay float32.
        """
        super().__init__()
        self._spec = spec
        policy = keras.DTypePolicy("mixed_bfloat16" if reduced else "float32")
        self.table = self.add_weight(name="table", shape=spec.shapes()["table.weight"], initializer="zeros")
        self.hidden = [
            self._dense(wide, before, policy) for before, wide in zip(spec.widths, spec.widths[1:], strict=False)
        ]
        self.head = self._dense(spec.answers, spec.widths[-1], keras.DTypePolicy("float32"))
        self.built = True
        named = {"table.weight": self.table, "head.weight": self.head.kernel, "head.bias": self.head.bias}
        for k, layer in enumerate(self.hidden):
            named |= {f"layers.{k}.weight": layer.kernel, f"layers.{k}.bias": layer.bias}
        self.named: dict[str, tf.Variable] = {name: named[name].value for name in spec.shapes()}
        """Variables by the names of `NetworkSpec.shapes`; layers' weights are [inputs, outputs]."""

    @staticmethod
    def _dense(wide: int, width: int, policy: Any) -> Any:
        layer = keras.layers.Dense(wide, kernel_initializer="zeros", dtype=policy)
        layer.build((None, width))
        return layer

    def call(self, numbers: Any, codes: Any, seed: Any = None) -> Any:
        """Scores [n, K].

        Args:
            numbers: [n, D].
            codes: [n, C].
            seed: [2] of what is dropped; None drops nothing.
        """
        found = tf.gather(self.table.value, tf.reshape(codes, [-1]))
        wide = self._spec.codes * self._spec.chosen.embedding_dim
        x = tf.concat([numbers, tf.reshape(found, [-1, wide]) if wide else numbers[:, :0]], axis=1)
        for k, layer in enumerate(self.hidden):
            y = tf.nn.relu(layer(x))
            if seed is not None and self._spec.chosen.dropout > 0:
                y = _dropped(y, self._spec.chosen.dropout, seed + tf.constant([0, k]))
            x = tf.cast(x, y.dtype) + y if self._spec.widths[k] == self._spec.widths[k + 1] else y
        return self.head(tf.cast(x, tf.float32))

    def arrays(self) -> Arrays:
        """A copy of the weights."""
        return {name: np.ascontiguousarray(_turned(name, v.numpy())) for name, v in self.named.items()}

    def assign(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take these weights."""
        for name, variable in self.named.items():
            variable.assign(_turned(name, np.asarray(weights[name], np.float32)))


def _turned(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Between torch's [outputs, inputs] and Keras's [inputs, outputs]; the table is the same in both."""
    return array.T if array.ndim == 2 and name != "table.weight" else array


def _dropped(x: Any, share: float, seed: Any) -> Any:
    """Dropout by a seed alone, whatever was drawn before; the same on CPUs and GPUs."""
    drawn = tf.random.stateless_uniform(tf.shape(x), seed, alg="philox")
    return tf.where(drawn >= share, x * tf.cast(1 / (1 - share), x.dtype), tf.zeros([], x.dtype))
