"""The evaluation as one HTML page that people read.

In: an `Evaluation`, its `Curves`, and the package's model.json. Out: HTML (`seaway.observe.html`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seaway.evaluation.curves import Curves
from seaway.evaluation.result import Evaluation, Metrics
from seaway.observe import html

TITLES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "f1": "F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "bias": "mean error",
}
"""How people write a metric; others as they are, with spaces for underscores."""

FEW_CLASSES, MANY_CLASSES = 5, 20
MANY_VALUES = 8


def title(metric: str) -> str:
    """A metric's name as people write it."""
    if metric.startswith("error_p"):
        return f"error, {int(metric.removeprefix('error_p'))} % quantile"
    return TITLES.get(metric, metric.replace("_", " "))


def render(evaluation: Evaluation, curves: Curves, info: Mapping[str, Any]) -> str:
    """The page.

    Args:
        evaluation: the numbers.
        curves: what is drawn.
        info: model.json of the package.
    """
    model = evaluation.model
    return html.page(
        f"Evaluation of {model['name']}",
        list(_sections(evaluation, curves, info)),
        subtitle=f"{evaluation.task} of {evaluation.target} on {evaluation.rows:,} holdout rows that no training saw",
    )


def _sections(evaluation: Evaluation, curves: Curves, info: Mapping[str, Any]) -> Iterator[html.Section]:
    yield html.Section("Result", _headline(evaluation, info))
    yield html.Section("Metrics", _metrics(evaluation), "All models answered the same rows.")
    yield html.Section("Curves", html.beside(*_drawings(evaluation, curves)))
    if evaluation.confusion_matrix and not _confusion_beside(evaluation):
        yield html.Section("Confusion matrix", _confusion(evaluation), "Rows: the truth. Columns: the answer.")
    if curves.histograms and evaluation.classes:
        yield html.Section("Scores", html.beside(*_histograms(curves, (460, 170))))
    if agreement := info.get("agreement"):
        yield html.Section(
            "Agreement of the graph with the framework",
            html.facts((str(k).replace("_", " "), v) for k, v in agreement.items()),
            "The package's ONNX graph and the framework it was trained in, on the same held-out rows at packaging.",
        )
    yield html.Section("Contract", _contract(info), "The raw columns that the model takes.")
    yield html.Section("Provenance", _provenance(evaluation, info))


def _headline(evaluation: Evaluation, info: Mapping[str, Any]) -> str:
    model, name = evaluation.model, evaluation.primary
    cards: list[tuple[str, Any]] = [
        ("model", model["name"]),
        ("version", model["version"]),
        ("framework", model["framework"]),
        ("estimator", info.get("estimator")),
        ("holdout rows", evaluation.rows),
        (f"{title(name)}, model", evaluation.metrics[name]),
        *((f"{title(name)}, {b} baseline", m[name]) for b, m in sorted(evaluation.baselines.items())),
    ]
    if evaluation.champion is not None:
        cards.append((f"{title(name)}, now served", evaluation.champion.get("metrics", {}).get(name)))
    cards.append(("rows per second", round(evaluation.rows_per_second)))
    words = [_verdict(evaluation), *evaluation.notes]
    if evaluation.champion is not None and "error" in evaluation.champion:
        words.append(f"The version now served could not be evaluated: {evaluation.champion['error']}")
    return html.facts(cards) + "".join(html.paragraph(w[:1].upper() + w[1:]) for w in words if w)


def _verdict(evaluation: Evaluation) -> str:
    name = evaluation.primary
    mine, linear = evaluation.metrics[name], evaluation.baselines["linear"][name]
    if mine is None or linear is None:
        return ""
    sign = 1 if evaluation.direction == "higher" else -1
    gain = sign * (mine - linear)
    better = "better than" if gain > 0 else "no better than" if gain == 0 else "worse than"
    by = f" by {html.number(abs(gain))}" if gain else ""
    return f"By {title(name)} ({evaluation.direction} is better) the model is {better} the linear baseline{by}."


def _metrics(evaluation: Evaluation) -> str:
    columns: list[tuple[str, Metrics]] = [
        ("model", evaluation.metrics),
        *((f"{b} baseline", evaluation.baselines[b]) for b in ("linear", "trivial") if b in evaluation.baselines),
    ]
    if evaluation.champion is not None and "metrics" in evaluation.champion:
        columns.append((f"now served: {evaluation.champion['version']}", evaluation.champion["metrics"]))
    rows = []
    for name in evaluation.metrics:
        side = evaluation.directions.get(name)
        rows.append([title(name), f"{side} is better" if side else "", *(m.get(name) for _, m in columns)])
    numeric = range(2, 2 + len(columns))
    return html.table(["metric", "", *(c for c, _ in columns)], rows, numeric=numeric)


def _drawings(evaluation: Evaluation, curves: Curves) -> Iterator[str]:
    unit = (0.0, 1.0)
    if curves.roc:
        drawn = html.lines(
            curves.roc,
            x_label="false positive rate",
            y_label="true positive rate",
            diagonal=True,
            x_range=unit,
            y_range=unit,
        )
        yield html.titled("ROC; the dotted line is chance", drawn)
    if evaluation.task == "regression":
        drawn = html.lines(curves.calibration, x_label="mean answer", y_label="mean truth", diagonal=True, markers=True)
        yield html.titled("Calibration in bins of equally many rows; exact on the dotted line", drawn)
        yield from _histograms(curves, (480, 360))
        return
    drawn = html.lines(
        curves.calibration,
        x_label="mean predicted probability",
        y_label="share that came true",
        diagonal=True,
        markers=True,
        x_range=unit,
        y_range=unit,
    )
    yield html.titled("Calibration in ten bins; exact on the dotted line", drawn)
    if _confusion_beside(evaluation):
        yield html.titled("Confusion matrix; rows: the truth, columns: the answer", _confusion(evaluation))


def _histograms(curves: Curves, size: tuple[int, int]) -> Iterator[str]:
    for k, h in enumerate(curves.histograms):
        yield html.titled(h.title, html.histogram(h.edges, h.counts, x_label=h.x_label, series=k, size=size))


def _confusion_beside(evaluation: Evaluation) -> bool:
    """Whether a small matrix takes the place that the ROC curve of two classes would have."""
    return evaluation.roc is None and 2 <= len(evaluation.classes) <= FEW_CLASSES


def _confusion(evaluation: Evaluation) -> str:
    classes, matrix = evaluation.classes, evaluation.confusion_matrix
    if len(classes) <= MANY_CLASSES:
        return html.heatmap(classes, classes, matrix)
    wrong = sorted(
        ((n, classes[i], classes[j]) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n),
        key=lambda cell: -cell[0],
    )
    return html.paragraph(f"{len(classes)} classes; the most frequent confusions:") + html.table(
        ["truth", "answer", "rows"], [(a, b, n) for n, a, b in wrong[:MANY_CLASSES]]
    )


def _contract(info: Mapping[str, Any]) -> str:
    rows = []
    for column in info["contract"]["columns"]:
        rows.append([column["name"], column["dtype"], bool(column.get("nullable")), _rule(column)])
    return html.table(["column", "dtype", "may be missing", "values"], rows)


def _rule(column: Mapping[str, Any]) -> str:
    low, high, values = (column.get(k) for k in ("minimum", "maximum", "values"))
    if values is not None:
        shown = ", ".join(str(v) for v in values[:MANY_VALUES])
        return shown if len(values) <= MANY_VALUES else f"{shown} and {len(values) - MANY_VALUES:,} more"
    if low is not None and high is not None:
        return f"{html.number(low)} to {html.number(high)}"
    if low is not None:
        return f"at least {html.number(low)}"
    return "" if high is None else f"at most {html.number(high)}"


def _provenance(evaluation: Evaluation, info: Mapping[str, Any]) -> str:
    rows: list[tuple[str, Any]] = [("package", evaluation.model["uri"])]
    if evaluation.champion is not None:
        rows.append(("now served", evaluation.champion["uri"]))
    rows += _flat(info.get("provenance", {}))
    rows += _flat(info.get("params", {}), "parameter: ")
    return html.table(["what", "value"], [(k, str(v)) for k, v in rows])


def _flat(raw: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in raw.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        else:
            yield name, value
