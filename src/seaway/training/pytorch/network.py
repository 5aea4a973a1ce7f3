"""The network: a table to look codes up in, and fully connected layers.

In: numbers [n, D] float32 and codes [n, C], as `seaway.training.encoding` makes them. Out: [n, K] scores, one a class,
or [n, 1] standardised values. `seaway.training.pytorch.export` writes the same computation as ONNX: who changes one
changes both, and the packaging gate compares them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seaway.training.encoding import Encoding


class Network(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Embeddings beside numbers, then layers with ReLU and dropout, residual where widths allow, then scores."""

    def __init__(
        self, encoding: Encoding, *, hidden: tuple[int, ...], embedding_dim: int, dropout: float, answers: int
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(encoding.rows, embedding_dim)
        nn.init.normal_(self.table.weight, std=0.3)
        width = len(encoding.mean) + len(encoding.offsets) * embedding_dim
        self.layers = nn.ModuleList()
        for wide in hidden:
            self.layers.append(nn.Linear(width, wide))
            width = wide
        self.dropout = dropout
        self.head = nn.Linear(width, answers)

    def forget(self, codes: Tensor) -> None:
        """Make rows of the table say nothing: those that no training row looks up."""
        with torch.no_grad():
            self.table.weight[codes] = 0.0

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Scores [n, K]."""
        # an Embedding's own lookup takes four times as long to give its gradient on a CPU
        found = self.table.weight.index_select(0, codes.flatten())
        x = torch.cat([numbers, found.view(len(codes), codes.shape[1] * self.table.embedding_dim)], dim=1)
        for layer in self.layers:
            y = self._dropped(torch.relu(layer(x)))
            x = x + y if is_residual(layer) else y
        scores: Tensor = self.head(x)
        return scores

    def _dropped(self, x: Tensor) -> Tensor:
        """Dropout; torch's own draws its numbers one by one on a CPU."""
        if not self.training or self.dropout == 0:
            return x
        kept = (torch.rand_like(x) >= self.dropout).to(x.dtype)
        return x * kept.div_(1 - self.dropout)


def is_residual(layer: nn.Module) -> bool:
    """Whether a layer's input is added to its output."""
    return bool(layer.in_features == layer.out_features)
