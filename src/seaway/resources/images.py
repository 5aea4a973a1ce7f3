"""Names of our container images: the tag is the package's version.

SEAWAY_IMAGE_REGISTRY and SEAWAY_IMAGE_TAG override the two halves when pipelines are compiled. The names end in
``-python`` because KFP's local runner warns of images without it.
"""

from __future__ import annotations

import os

from seaway._version import __version__

REGISTRY = "ghcr.io/seaway-ml"


def image(name: str) -> str:
    """The image of one of images/: launcher, sklearn, torch or server."""
    registry = os.environ.get("SEAWAY_IMAGE_REGISTRY") or REGISTRY
    return f"{registry}/seaway-{name}-python:{os.environ.get('SEAWAY_IMAGE_TAG') or __version__}"
