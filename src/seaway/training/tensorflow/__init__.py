"""The TensorFlow worker; see `seaway.training.tensorflow.learner`."""

from __future__ import annotations

import logging
import os

# Read once, when TensorFlow and Keras load. What goes wrong in a step comes as an exception: it need not be said twice.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Else a GPU's memory is taken whole by whoever comes first.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
logging.getLogger("tensorflow").setLevel(logging.WARNING)
