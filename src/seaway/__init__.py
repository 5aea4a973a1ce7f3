"""Seaway: Kubeflow Pipelines components from raw data to a promoted, served and watched model.

Importing this package imports nothing heavy: no kfp, kubernetes, polars, scikit-learn or onnxruntime.
"""

from seaway._version import __version__

__all__ = ["__version__"]
