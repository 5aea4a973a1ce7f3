"""The ONNX versions in which every graph of Seaway is written, in one place.

onnxruntime refuses what onnx writes by default (a newer opset and IR), and merged graphs must agree on all three.
"""

from __future__ import annotations

OPSET = 18
"""Of the standard operators, domain ``""``."""
ML_OPSET = 3
"""Of ``ai.onnx.ml``: label encoders with string keys; tree ensembles as every converter writes them."""
IR_VERSION = 9
