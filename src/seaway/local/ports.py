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
    """A port that nothing listens on now, on any address, and that is not ``taken``."""
    for _ in range(500):
        port = FIRST + secrets.randbelow(COUNT)
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {FIRST} and {FIRST + COUNT} was found on 127.0.0.1")


def in_use(port: int) -> bool:
    """Whether a program listens on a port, on any address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that have ended keep a port for a minute, and hinder nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
        return False


def promised(store: Store) -> set[int]:
    """Ports that services, jobs and pods were given, whether or not anything listens on them now."""
    services = [
        (item.get("status") or {}).get("annotations") or {}
        for resource in ("inferenceservices.serving.kserve.io", "inferencegraphs.serving.kserve.io")
        for item in store.items(resource)
    ]
    children = [
        item["metadata"].get("annotations") or {}
        for resource in ("pods", "services", "jobs.batch")
        for item in store.items(resource)
    ]
    # Anyone may write an annotation of that name.
    return {int(text) for found in services + children if (text := str(found.get(PORT_ANNOTATION, ""))).isdecimal()}
