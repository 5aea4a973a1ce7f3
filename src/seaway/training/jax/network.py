"""The network in Flax NNX: a table to look codes up in, and fully connected layers.

In: numbers [n, D] float32 and codes [n, C] int32. Out: [n, K] scores, or [n, 1] standardised values: what
`seaway.training.network.learner.NetworkSpec` describes, as in every framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seaway.training.network.learner import Arrays, NetworkSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Network(nnx.Module):  # type: ignore[misc]  # flax is not looked into
    """Embeddings beside numbers, then layers with ReLU and dropout, residual where widths allow, then scores."""

    def __init__(self, spec: NetworkSpec, *, half: bool, rngs: nnx.Rngs) -> None:
        """Untrained.

        Args:
            spec: its form.
            half: computes in bfloat16, else in float32 to the last bit: chips would take fewer by themselves.
            rngs: NNX asks for them; nothing is drawn, as the weights are given.
        """
        zeros = nnx.initializers.zeros_init()
        how: dict[str, Any] = {"dtype": jnp.bfloat16} if half else {"precision": jax.lax.Precision.HIGHEST}
        how["kernel_init"] = zeros
        self.table = nnx.Embed(spec.table_rows, spec.chosen.embedding_dim, embedding_init=zeros, rngs=rngs)
        widths = zip(spec.widths, spec.widths[1:], strict=False)
        self.layers = nnx.List([nnx.Linear(width, wide, **how, rngs=rngs) for width, wide in widths])
        self.dropout = nnx.Dropout(spec.chosen.dropout)
        self.head = nnx.Linear(spec.widths[-1], spec.answers, **how, rngs=rngs)

    def __call__(self, numbers: jax.Array, codes: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Scores [n, K] in float32; where ``rngs`` are given some activations are dropped."""
        # codes lie in the table by construction, so nothing is spent on those that do not
        found = self.table.embedding[...].at[codes].get(mode="promise_in_bounds")
        x = jnp.concatenate([numbers, found.reshape(len(numbers), -1)], axis=1)
        for layer in self.layers:
            y = self.dropout(nnx.relu(layer(x)), deterministic=rngs is None, rngs=rngs)
            x = x + y if layer.in_features == layer.out_features else y
        scores: jax.Array = self.head(x).astype(jnp.float32)
        return scores


def to_params(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """From neutral names to where NNX keeps each; a layer's weight is [inputs, outputs] there."""
    params: dict[str, Any] = {}
    for name, array in weights.items():
        here, leaf, turned = _place(params, name)
        here[leaf] = np.array(array.T if turned else array, np.float32, order="C")
    return params


def to_weights(params: dict[str, Any], names: Mapping[str, Any]) -> Arrays:
    """From where NNX keeps each to neutral names; copies."""
    out: Arrays = {}
    for name in names:
        here, leaf, turned = _place(params, name)
        out[name] = np.array(here[leaf].T if turned else here[leaf], np.float32, order="C")
    return out


def _place(params: dict[str, Any], name: str) -> tuple[dict[Any, Any], str, bool]:
    """Where NNX keeps a weight: the dict, the key, and whether it is transposed."""
    *parents, leaf = name.split(".")
    here: dict[Any, Any] = params
    for part in parents:
        here = here.setdefault(int(part) if part.isdecimal() else part, {})
    if leaf == "weight":
        leaf = "embedding" if parents == ["table"] else "kernel"
    return here, leaf, leaf == "kernel"
