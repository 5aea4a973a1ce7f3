"""A network that learns in PyTorch.

In: batches. Out: losses, scores, weights; see `seaway.training.network.learner`. Ranks each hold the whole network and
add their gradients up, or with ``sharding=full`` each holds a part of every layer (FSDP2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seaway.errors import InputError
from seaway.training.network.learner import Arrays, Batch, Framework, NetworkSpec
from seaway.training.peers import Peers
from seaway.training.pytorch import device, sharding
from seaway.training.pytorch.gradients import Gradients
from seaway.training.pytorch.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

Loss = Callable[[Tensor, Tensor], Tensor]
"""Scores [n, K] and target [n] to the sum over the rows."""


class TorchLearner:
    """A network on this rank's device, with its optimizer."""

    def __init__(self, spec: NetworkSpec, peers: Peers, weights: Mapping[str, NDArray[np.float32]]) -> None:
        chosen = spec.chosen
        self._spec = spec
        self._place = peers.place
        self._device = device.choose()
        self._half = _is_half(chosen.precision, self._device)
        device.set_threads(spec.flops / 6 * chosen.batch_size / self._place.world_size, peers)
        network = Network(spec)
        network.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        self._network = network.to(self._device)
        self._sharded = chosen.sharding == "full" and peers.connected
        self._gradients: Gradients | None = None
        if self._sharded:
            sharding.shard(self._network, self._device)
        elif peers.connected:
            self._gradients = Gradients(self._network)
        self._forward: nn.Module = torch.compile(self._network, dynamic=True) if chosen.compile else self._network
        class_weights = torch.tensor(spec.class_weights, device=self._device) if spec.class_weights else None
        self._loss = _loss(chosen.loss, class_weights)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay
        )

    @property
    def device(self) -> str:
        """What it computes on, with how many threads."""
        return f"cpu with {torch.get_num_threads()} threads" if self._device.type == "cpu" else str(self._device)

    def step(
        self,
        batch: Batch,
        *,
        rate: float,
        everyones: int,
        exchange: bool = True,
        computed: Callable[[], None] | None = None,
    ) -> Tensor:
        """Learn from one step's rows; the sum of their losses.

        Sharded, ranks wait for each other in every layer: there is no moment to call ``computed`` at.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if not self._network.training:
            self._network.train()
        if self._gradients is None:
            self._optimizer.zero_grad()
        else:
            self._gradients.clear()
        # what shards reduce is the mean over the ranks
        scale = (self._place.world_size if self._sharded else 1) / everyones
        parts = [batch] if self._spec.chosen.accumulate == 1 else list(batch.parts(self._spec.chosen.accumulate))
        losses = []
        for part in parts:
            last = part is parts[-1]
            with self._sending(early=last and exchange and computed is None, last=last):
                loss = self._summed(part)
                (loss * scale).backward()
            losses.append(loss.detach())
        if computed is not None and not self._sharded:
            computed()
        if exchange and self._gradients is not None:
            self._gradients.add_up()
        self._optimizer.step()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def loss(self, batch: Batch) -> Tensor:
        """The sum of losses over rows, nothing learnt and nothing dropped."""
        self._network.eval()
        with torch.no_grad():
            return self._summed(batch)

    def scores(self, batch: Batch) -> NDArray[np.float32]:
        """[n, K], nothing dropped."""
        self._network.eval()
        with torch.no_grad():
            found: NDArray[np.float32] = self._scored(batch).float().cpu().numpy()
        return found

    def weights(self) -> Arrays:
        """A copy of the weights by name."""
        return {name: _copied(p) for name, p in self._network.named_parameters()}

    def optimizer(self) -> Arrays:
        """A copy of the optimizer's state, by parameter and kind."""
        return {
            f"{name}/{kind}": _copied(value)
            for name, p in self._network.named_parameters()
            for kind, value in self._optimizer.state.get(p, {}).items()
        }

    def restore(self, weights: Mapping[str, NDArray[np.float32]], optimizer: Mapping[str, NDArray[np.float32]]) -> None:
        """Be where a training was when it gave these."""
        parameters = dict(self._network.named_parameters())
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(sharding.alike(torch.tensor(weights[name]), p))
        self._optimizer.state.clear()
        for name, array in optimizer.items():
            of, _, kind = name.rpartition("/")
            p, value = parameters[of], torch.tensor(array)
            # torch keeps the count of steps on the CPU
            self._optimizer.state[p][kind] = value if value.ndim == 0 else sharding.alike(value, p)

    def begin_epoch(self, number: int) -> None:
        """Draw dropout from the seed, the epoch and the rank."""
        sequence = np.random.SeedSequence([self._spec.seed, number, self._place.rank])
        torch.manual_seed(int(sequence.generate_state(2)[1]))

    @contextmanager
    def _sending(self, *, early: bool, last: bool) -> Iterator[None]:
        """What a backward pass does with its gradients."""
        if self._sharded:
            self._network.set_requires_gradient_sync(last)
        early_: AbstractContextManager[Any] = nullcontext()
        if early and self._gradients is not None:
            early_ = self._gradients.sent_early()
        with early_:
            yield

    def _scored(self, batch: Batch) -> Tensor:
        numbers, codes = (torch.from_numpy(a).to(self._device) for a in (batch.numbers, batch.codes))
        scores: Tensor = self._forward(numbers, codes)
        return scores

    def _summed(self, batch: Batch) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16) if self._half else nullcontext():
            scores = self._scored(batch)
        return self._loss(scores.float(), torch.from_numpy(batch.target).to(self._device))


def _copied(value: Tensor) -> NDArray[np.float32]:
    copy: NDArray[np.float32] = sharding.whole(value.detach()).float().cpu().numpy().copy()
    return copy


def _is_half(precision: str, where: torch.device) -> bool:
    """Whether layers compute in bfloat16."""
    has = where.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not has:
        raise InputError(f"precision must be float32 or auto on {torch.cuda.get_device_name()}, which has no bfloat16")
    return precision == "bfloat16" or (precision == "auto" and has and where.type != "cpu")


def _loss(name: str, weights: Tensor | None) -> Loss:
    if name == "cross_entropy":
        return lambda scores, target: functional.cross_entropy(scores, target, weight=weights, reduction="sum")
    if name == "mse":
        return lambda scores, target: functional.mse_loss(scores[:, 0], target, reduction="sum")
    return lambda scores, target: functional.huber_loss(scores[:, 0], target, reduction="sum")


FRAMEWORK = Framework(
    name="pytorch",
    libraries=("torch",),
    build=TorchLearner,
    takes=frozenset({"accumulate", "precision", "compile", "sharding"}),
)
