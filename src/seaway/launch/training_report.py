"""What a training left about itself in its package, for the step that ran it: figures, a verdict, a page.

In: a package's URI and its model.json. Out: the page at a local path, and `Evidence`; of a training that tells nothing
of itself, as a container of somebody's own may, a page that says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seaway.errors import InputError
from seaway.observe import html, logs
from seaway.storage import uri as storage
from seaway.training.evidence.evidence import Evidence
from seaway.training.evidence.report import DATA, PAGE

_log = logging.getLogger("seaway.launch")


def read_evidence(model: str, info: Mapping[str, Any], *, report: str) -> Evidence | None:
    """Write the training's page to ``report`` and say its verdict in the log.

    Args:
        model: URI of the package.
        info: its model.json.
        report: local path of the page to write; empty writes none.

    Returns:
        None where the package holds no evidence, or none that this version can read.
    """
    data, page = (f"reports/{name}" for name in (DATA, PAGE))
    if report:
        Path(report).parent.mkdir(parents=True, exist_ok=True)
        content = storage.read_bytes(storage.join(model, page)) if page in info["files"] else _none(info)
        Path(report).write_bytes(content)
    if data not in info["files"]:
        return None
    try:
        found = Evidence.from_dict(json.loads(storage.read_bytes(storage.join(model, data))))
    except (InputError, ValueError) as e:
        logs.info(_log, f"the training's figures are left out of the metrics: {e}")
        return None
    for sentence in found.verdict:
        logs.info(_log, sentence)
    return found


def _none(info: Mapping[str, Any]) -> bytes:
    said = html.paragraph("This training measured nothing about itself: its worker wrote no report into the package.")
    return html.page(f"Training of {info['name']}", [html.Section("Verdict", said)]).encode()
