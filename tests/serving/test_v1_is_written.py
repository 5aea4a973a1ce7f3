"""The v1 protocol's answers, without a server around them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from seaway.serving import v1
from seaway.serving.request import Request
from seaway.serving.served import ServedModel
from tests.serving import models


def test_whole_number_labels_of_onnxruntime_are_written(tmp_path: Path) -> None:
    model = ServedModel.open(models.write_words(tmp_path))
    # onnxruntime gives int64 as C's long long, which is numpy's int64 by value but not by type
    labels = np.array([7, -3], dtype=np.longlong)
    answers = [labels, np.array([[0.25, 0.75, 0], [0.5, 0, 0.5]], dtype=np.float32)]
    written = json.loads(v1.write(model, Request(2), answers))
    assert written == {
        "predictions": [{"label": 7, "probabilities": [0.25, 0.75, 0]}, {"label": -3, "probabilities": [0.5, 0, 0.5]}]
    }
