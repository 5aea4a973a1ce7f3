"""Names of our container images: the tag is the package's version.

SEAWAY_IMAGE_REGISTRY and SEAWAY_IMAGE_TAG override the two halves when pipelines are compiled, and in a launcher's pod
for the jobs that it starts. The names end in ``-python`` because KFP's local runner warns of images without it. An
image with another version of its framework than the default has that version behind the tag: ``0.1.0-torch2.13``.
"""

from __future__ import annotations

import os
import re

from seaway._version import __version__
from seaway.errors import InputError

REGISTRY = "ghcr.io/seaway-ml"
_VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z]+){0,3}")


def image(name: str, *, framework_version: str = "") -> str:
    """The image of one of images/: launcher, sklearn, torch or server.

    Args:
        name: folder below images/.
        framework_version: of the framework in the image, for instance ``2.13``; empty for the default image.

    Raises:
        InputError: the version cannot be part of a tag.
    """
    if framework_version and not _VERSION.fullmatch(framework_version):
        raise InputError(f"framework_version must be a version such as 2.13, found {framework_version!r}")
    registry = os.environ.get("SEAWAY_IMAGE_REGISTRY") or REGISTRY
    tag = os.environ.get("SEAWAY_IMAGE_TAG") or __version__
    return f"{registry}/seaway-{name}-python:{tag}" + (f"-{name}{framework_version}" if framework_version else "")
