"""One pipeline step, observed: what went in, what came out, how long it took, and how it failed.

In: the arguments of a KFP component. Out: the component's result, structured log lines, and on the laptop a record
in the run's folder (``$SEAWAY_RUN_DIR/steps/NN-component.json`` with its log beside it), which the CLI and its live
view read.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seaway.errors import SeawayError
from seaway.observe import logs, spans, trace

T = TypeVar("T")
_log = logging.getLogger("seaway.step")
_SHOWN = 500


def task(
    component: str, function: Callable[..., T], arguments: Mapping[str, Any], *, by_uri: tuple[str, ...] = ()
) -> T:
    """Run the body of a component.

    Artifacts among the arguments are handed over as local paths, those named in ``by_uri`` as URIs. Arguments named
    ``metrics`` and ``classification_metrics`` are KFP artifacts, which are not handed over but filled from the result:
    from its ``flat_metrics``, else ``metrics``, else its fields that are numbers, and from its
    ``classification_metrics``. A result may have a ``headline``, a line for people.

    Args:
        component: name of the component.
        function: what does the work; takes keyword arguments only.
        arguments: the component's own arguments.
        by_uri: artifacts that the function reads or writes by URI itself.

    Raises:
        Exception: whatever the function raises, after it has been logged and recorded.
    """
    sinks = {k: v for k, v in arguments.items() if k in ("metrics", "classification_metrics")}
    plain = {k: _argument(v, by_uri=k in by_uri) for k, v in arguments.items() if k not in sinks}
    record = Record(component, plain)
    try:
        result = function(**plain)
        outputs = _outputs(result)
        if "metrics" in sinks:
            _log_metrics(sinks["metrics"], _first(result, ("flat_metrics", "metrics"), outputs))
        if "classification_metrics" in sinks:
            _log_classification(sinks["classification_metrics"], getattr(result, "classification_metrics", None))
    except BaseException as e:
        record.end("failed", error=e)
        raise
    record.end("succeeded", outputs=outputs, headline=getattr(result, "headline", ""))
    return result


class Record:
    """The state of one step, in the log and in the run's folder.

    Args:
        component: name of the component.
        inputs: its arguments.
        own_process: whether this process is the step, and logs for it; else it only watches the step from outside.
    """

    def __init__(self, component: str, inputs: Mapping[str, Any], *, own_process: bool = True) -> None:
        run, folder = trace.run_id(), os.environ.get("SEAWAY_RUN_DIR", "")
        self._path = _claim(Path(folder) / "steps", component) if folder else None
        self.step = self._path.stem if self._path else component
        # on a cluster no number tells two uses of a component apart; their inputs do, and a retry's are the same
        name = self.step if folder else f"{component}/{_digest(inputs)}"
        self._span = trace.span_id(run, name) if run else ""
        self.traceparent = trace.traceparent(run, name) if run else ""
        """Of whatever this step asks or starts; empty outside of a run."""
        if own_process:
            if run:
                os.environ["TRACEPARENT"] = self.traceparent
            self._log_here(component)
        self._clock, self._began = time.monotonic(), time.time()
        self._state: dict[str, Any] = {
            "step": self.step,
            "component": component,
            "state": "running",
            "pid": os.getpid(),
            "started": _now(),
            "trace_id": trace.trace_id(run) if run else "",
            "span_id": self._span,
            "inputs": {k: _short(v) for k, v in inputs.items()},
        }
        self._write()
        logs.info(_log, f"{component} started", inputs=self._state["inputs"])

    @property
    def log(self) -> Path | None:
        """The step's log; None outside a laptop's run."""
        return self._path.with_suffix(".log") if self._path else None

    def _log_here(self, component: str) -> None:
        logs.setup(step=self.step, component=component, span_id=self._span)
        if self.log is not None:
            handler = logging.FileHandler(self.log, encoding="utf-8")
            handler.setFormatter(logs.JsonFormatter(step=self.step, component=component, span_id=self._span))
            logging.getLogger().addHandler(handler)

    def end(
        self,
        state: str,
        *,
        outputs: Mapping[str, Any] | None = None,
        headline: str = "",
        error: BaseException | None = None,
    ) -> None:
        """Close the record."""
        self._state |= {"state": state, "ended": _now(), "seconds": round(time.monotonic() - self._clock, 3)}
        component, seconds = self._state["component"], self._state["seconds"]
        span = self._spanned("" if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            self._state["error"] = f"{type(error).__name__}: {error}"
            fields = {"seconds": seconds, "error": str(error), **span}
            _log.error(
                f"{component} failed: {error}",
                # what was raised on purpose, or by a signal, needs no traceback
                exc_info=None if isinstance(error, SeawayError) or not isinstance(error, Exception) else error,
                extra={"fields": fields},
            )
        else:
            self._state["outputs"] = {k: _short(v) for k, v in (outputs or {}).items()}
            self._state["headline"] = headline
            logs.info(_log, f"{component} succeeded", seconds=seconds, outputs=self._state["outputs"], **span)
        self._write()

    def _spanned(self, error: str) -> dict[str, Any]:
        """Fields of the last log line: on a cluster the line is all that is left of a step."""
        if not self._span:
            return {}
        attributes = {"component": self._state["component"], **({"error": _short(error)} if error else {})}
        end = self._began + self._state["seconds"]
        found = spans.line(
            self.step, start=self._began, end=end, span_id=self._span, kind=spans.STEP, attributes=attributes
        )
        found[spans.FIELD]["parent"] = ""  # a run has no span of its own
        return found

    def _write(self) -> None:
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self._state, ensure_ascii=False, default=str))
        part.replace(self._path)


def _claim(folder: Path, component: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.json"))) + 1
    while True:
        path = folder / f"{number:02d}-{component}.json"
        try:
            # exclusive over the number, not the name: two steps that start at once must not share it
            (folder / f".{number:02d}.claim").touch(exist_ok=False)
            return path
        except FileExistsError:
            number += 1


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(inputs), sort_keys=True, default=str).encode()).hexdigest()[:16]


def _argument(value: Any, *, by_uri: bool) -> Any:
    if hasattr(value, "uri") and hasattr(value, "path"):
        return value.uri if by_uri else value.path
    return value


def _outputs(result: Any) -> dict[str, Any]:
    if result is None:
        return {}
    fields = getattr(result, "__dataclass_fields__", None)
    return {k: getattr(result, k) for k in fields} if fields else {"result": result}


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


def _first(result: Any, names: tuple[str, ...], default: Any) -> Any:
    return next((getattr(result, n) for n in names if hasattr(result, n)), default)


def _log_metrics(artifact: Any, metrics: Mapping[str, Any]) -> None:
    for name, value in metrics.items():
        # KFP's metadata takes no NaN
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            artifact.log_metric(name, float(value))


def _log_classification(artifact: Any, found: Any) -> None:
    if found is None:
        return
    if found.get("confusion_matrix"):
        artifact.log_confusion_matrix(found["classes"], found["confusion_matrix"])
    if found.get("roc"):
        artifact.log_roc_curve(found["roc"]["fpr"], found["roc"]["tpr"], found["roc"]["thresholds"])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
