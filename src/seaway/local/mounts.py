"""Other applications that the laptop serves beside the Kubernetes API, behind the same token."""

from __future__ import annotations

import importlib
import importlib.util

from seaway.local.api.http import Application
from seaway.local.home import Paths

MODULES: dict[str, str] = {
    "/apis/v2beta1/": "seaway.local.kfp.app",  # Kubeflow Pipelines' API
}
"""Path prefix to a module with ``application(paths: Paths) -> ASGI application``; one that is absent is left out."""


def mounts(paths: Paths) -> dict[str, Application]:
    """The applications that are installed, by path prefix."""
    found: dict[str, Application] = {}
    for prefix, name in MODULES.items():
        if importlib.util.find_spec(name.rpartition(".")[0]) and importlib.util.find_spec(name):
            found[prefix] = importlib.import_module(name).application(paths)
    return found
