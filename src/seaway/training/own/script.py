"""What a user's own training script is given, in any framework: `context()`.

In: TrainSpec and the ranks in the environment. Out: rank, hyperparameters and this rank's rows; metrics, checkpoints
and the finished model go back through it. Nothing here imports a framework.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import json
import logging
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from seaway.errors import InputError, PackageError
from seaway.model.contract import Contract
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training.params import near, plain
from seaway.training.place import Place
from seaway.training.spec import TrainSpec
from seaway.training.world import world

if TYPE_CHECKING:
    import onnx

    from seaway.model.agreement import Agreement
    from seaway.training.layout import Layout
    from seaway.training.own.foreign import Predict
    from seaway.training.own.shard import Shard
    from seaway.training.own.snapshots import Snapshots

T = TypeVar("T", bool, int, float, str)
_METRIC = re.compile(r"[A-Za-z_][\w.|-]*")
_logger = logging.getLogger("seaway.training")
_current: Context | None = None


def context() -> Context:
    """The training that this process takes part in; the same object at every call.

    Raises:
        InputError: there is no TrainSpec in the environment, or the ranks in it do not fit each other.
    """
    global _current
    if _current is None:
        _current = Context(TrainSpec.from_env(), world(os.environ).place)
        atexit.register(_current.close)
        _current.begin()
    return _current


def current() -> Context | None:
    """The context, if the script has asked for it."""
    return _current


class Context:
    """One rank of a training.

    Args:
        spec: what this training was told.
        place: of this rank.
    """

    def __init__(self, spec: TrainSpec, place: Place) -> None:
        self.spec = spec
        """URIs, name and version."""
        self.place = place
        self.saved = False
        """Whether this rank has written the model."""
        self._stack = ExitStack()
        self._asked: set[str] = set()
        self._cleared = False

    @property
    def rank(self) -> int:
        """From 0 to less than `world_size`."""
        return self.place.rank

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self.place.world_size

    @property
    def local_rank(self) -> int:
        """Among the processes of this replica, as torchrun tells it; else 0."""
        text = os.environ.get("LOCAL_RANK", "0")
        return int(text) if text.isdecimal() else 0

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.spec.seed

    @property
    def params(self) -> Mapping[str, Any]:
        """The hyperparameters as they were given; numbers that came as text are numbers."""
        self._asked.update(self.spec.params)
        return {name: plain(value) for name, value in self.spec.params.items()}

    @overload
    def param(self, name: str, default: T) -> T: ...
    @overload
    def param(self, name: str, default: list[Any]) -> list[Any]: ...
    def param(self, name: str, default: Any) -> Any:
        """A hyperparameter in the type of its default.

        Raises:
            InputError: what was given is of another type.
        """
        self._asked.add(name)
        if name not in self.spec.params:
            return default
        return _typed(name, self.spec.params[name], default)

    def hyperparameters(self, **defaults: Any) -> SimpleNamespace:
        """All hyperparameters at once, by their defaults; one that is given and has no default is refused.

        Raises:
            InputError: a name is unknown, or a value is of another type than its default.
        """
        for name in self.spec.params:
            if name not in defaults:
                raise InputError(
                    f"this script takes the params {sorted(defaults)}, found {name!r}{near(name, defaults)}"
                )
        return SimpleNamespace(**{name: self.param(name, default) for name, default in defaults.items()})

    @functools.cached_property
    def contract(self) -> Contract:
        """Of the raw columns; ``contract.target`` tells task and classes."""
        return Contract.from_json(storage.read_bytes(self.spec.contract))

    @functools.cached_property
    def classes(self) -> int:
        """K of a classification; 0 for values."""
        return len(self.contract.target.classes or ())

    @functools.cached_property
    def layout(self) -> Layout:
        """Which columns of the feature matrix are numbers, and which are together one category."""
        from seaway.training.layout import read_layout

        return read_layout(self.spec.features, self.train.names)

    @functools.cached_property
    def train(self) -> Shard:
        """This rank's training rows.

        Raises:
            DataError: they cannot be used, or are fewer than ranks.
        """
        return self._opened(self.spec.train, "training")

    @functools.cached_property
    def validation(self) -> Shard | None:
        """This rank's validation rows; None where there are none."""
        return self._opened(self.spec.validation, "validation") if self.spec.validation else None

    def report(self, *, step: int, **metrics: Any) -> None:
        """Log numbers of a step; on rank 0 also as lines ``name=value`` on stdout, which Katib reads.

        Raises:
            InputError: a metric has no fitting name, or is no finite number.
        """
        found = {name: _number(name, value, step) for name, value in metrics.items()}
        logs.info(_logger, "reported", step=step, rank=self.rank, **found)
        if self.place.leads:
            say_metrics(found)

    @contextmanager
    def checkpoint(self, step: int, *, all_ranks: bool = False, keep: int = 2) -> Iterator[Path]:
        """A folder for files in any format; when the block ends well they are the checkpoint of ``step``.

        It is there whole or not at all. Every rank may call this, and with ``all_ranks`` every one must, with the same
        step: the files of all, which must have other names, become one checkpoint. Else rank 0's alone do, and what
        others write is dropped.

        Args:
            step: a number that grows.
            all_ranks: whether every rank's files belong to it, as of torch.distributed.checkpoint.
            keep: how many checkpoints are kept.

        Raises:
            InputError: the step or the number kept does not hold.
        """
        with self._snapshots.writing(step, all_ranks=all_ranks, keep=keep) as folder:
            yield folder

    def latest_checkpoint(self) -> Path | None:
        """A folder with the files of the newest whole checkpoint, named by its step; None to begin anew.

        It is this process's own copy, and goes with the process.
        """
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="seaway-resumed-"))
        found = self._snapshots.newest(Path(folder))
        return found[1] if found else None

    def save(
        self,
        model: bytes | str | Path | onnx.ModelProto,
        *,
        predict: Predict,
        native: str | Path | None = None,
        params: Mapping[str, Any] | None = None,
        estimator: str = "custom",
    ) -> Agreement | None:
        """Hand the trained model over. Rank 0 writes the package; others return at once.

        Args:
            model: ONNX: one float32 input [n, F], and the output ``probabilities`` float32 [n, K] or ``value`` [n].
            predict: the framework's own answers to features float32 [n, F]: the graph is held against them.
            native: folder of the framework's own files, to be kept in the package; Seaway never loads them.
            params: that the model was trained with; by default those that were given.
            estimator: what kind of model it is, for people.

        Returns:
            How well the graph agrees with ``predict``; None on other ranks.

        Raises:
            PackageError: the graph does not hold, or answers otherwise than ``predict``; nothing is written.
        """
        from seaway.training.own import foreign

        if unknown := sorted(set(self.spec.params) - self._asked):
            _logger.warning(
                "the params %s were given and never asked for%s", unknown, near(unknown[0], sorted(self._asked))
            )
        if not self.place.leads:
            self.saved = True
            return None
        folder = Path(native) if native is not None else None
        if folder is not None and not folder.is_dir():
            raise PackageError(f"native must be a folder with the framework's own files, found {str(folder)!r}")
        with self.place.span("package"):
            written = foreign.write(
                self.spec, foreign.read_graph(model), predict=predict, native=folder, params=params, estimator=estimator
            )
        logs.info(_logger, "wrote the package", uri=self.spec.output, **written.agreement.to_dict())
        say_metrics(written.metrics)
        self.saved = True
        self._snapshots.remove()
        return written.agreement

    def begin(self) -> None:
        """Drop what an attempt that was cut off handed in for a checkpoint that never was."""
        self._snapshots.clear()

    def close(self) -> None:
        """Give back what was opened."""
        self._stack.close()

    @functools.cached_property
    def _snapshots(self) -> Snapshots:
        from seaway.training.own.snapshots import Snapshots
        from seaway.training.world import timeout_s

        # rank 0 gives up before the others give rank 0 up
        return Snapshots.of(self.spec, self.place, timeout_s=timeout_s(os.environ) / 2)

    def _opened(self, uri: str, what: str) -> Shard:
        from seaway.training import tables
        from seaway.training.own.shard import Shard

        part = tables.opened(uri, self.contract.target, what=what, place=self.place)
        return Shard(self._stack.enter_context(part), seed=self.seed)


def say_metrics(metrics: Mapping[str, float]) -> None:
    """Metrics as Katib's StdOut collector reads them; what is not finite is left out: Katib would stall on it."""
    stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    sys.stdout.write("".join(f"{stamp} {n}={v:.6g}\n" for n, v in metrics.items() if math.isfinite(v)))
    sys.stdout.flush()


def _number(name: str, value: Any, step: int) -> float:
    if not _METRIC.fullmatch(name) or name in ("rank", "step"):
        raise InputError(f"a metric must have a name of letters, digits and _, and not rank or step, found {name!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"metric {name!r} must be a number, found {value!r:.100} at step {step}") from None
    if not math.isfinite(number):
        raise InputError(
            f"metric {name!r} must be finite, found {number} at step {step}: the training has come apart; "
            "take a smaller learning rate, or see whether the features hold missing values"
        )
    return number


def _typed(name: str, given: Any, default: Any) -> Any:
    value = given if isinstance(default, str) and isinstance(given, str) else plain(given)
    kind = type(default)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is str and not isinstance(value, str):
        value = json.dumps(value)
    if default is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise InputError(f"param {name!r} must be of type {kind.__name__}, as its default {default!r}, found {given!r}")
    return value
