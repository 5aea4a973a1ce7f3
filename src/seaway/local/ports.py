"""Ports of 127.0.0.1 for services and their pods."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Container

from seaway.local.api.store import Store
from seaway.local.controllers.predictor import PORT_ANNOTATION

FIRST, COUNT = 20000, 10000
"""Below the range from which outgoing connections take their ports."""


def free_port(taken: Container[int] = ()) -> int:
    """A port that nothing listens on now and that is not ``taken``."""
    for _ in range(500):
        port = FIRST + secrets.randbelow(COUNT)
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {FIRST} and {FIRST + COUNT} was found on 127.0.0.1")


def promised(store: Store) -> set[int]:
    """Ports that services and pods were given, whether or not anything listens on them now."""
    services = [
        (item.get("status") or {}).get("annotations") or {}
        for item in store.items("inferenceservices.serving.kserve.io")
    ]
    pods = [item["metadata"].get("annotations") or {} for item in store.items("pods")]
    # Anyone may write an annotation of that name.
    return {int(text) for found in services + pods if (text := str(found.get(PORT_ANNOTATION, ""))).isdecimal()}
