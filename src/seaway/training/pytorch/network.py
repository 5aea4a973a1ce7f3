"""The network: a table to look codes up in, and fully connected layers.

In: numbers [n, D] float32 and codes [n, C], as `seaway.training.encoding` makes them. Out: [n, K] scores, one a class,
or [n, 1] standardised values. `seaway.training.network.export` writes the same computation as ONNX: who changes one
changes both, and the packaging gate compares them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seaway.training.network.learner import NetworkSpec


class Network(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Embeddings beside numbers, then layers with ReLU and dropout, residual where widths allow, then scores.

    Its parameters have the names of `NetworkSpec.shapes`.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.table = nn.Embedding(spec.table_rows, spec.chosen.embedding_dim)
        widths = spec.widths
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = spec.chosen.dropout
        self.head = nn.Linear(widths[-1], spec.answers)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Scores [n, K]."""
        # an Embedding's own lookup takes four times as long to give its gradient on a CPU
        found = self.table.weight.index_select(0, codes.flatten())
        x = torch.cat([numbers, found.view(len(codes), codes.shape[1] * self.table.embedding_dim)], dim=1)
        for layer in self.layers:
            y = self._dropped(torch.relu(layer(x)))
            x = x + y if layer.in_features == layer.out_features else y
        scores: Tensor = self.head(x)
        return scores

    def _dropped(self, x: Tensor) -> Tensor:
        """Dropout; torch's own draws its numbers one by one on a CPU."""
        if not self.training or self.dropout == 0:
            return x
        kept = (torch.rand_like(x) >= self.dropout).to(x.dtype)
        return x * kept.div_(1 - self.dropout)
