"""Names and labels of the objects that Seaway creates.

A name is a prefix and the first 10 hex digits of SHA-256 over the run's id and the manifest without its name: two
uses of a component in one run differ, and a retried or restarted step finds its own object again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

MANAGED_BY = {"app.kubernetes.io/managed-by": "seaway"}
RUN_LABEL = "seaway.dev/run-id"
DIGEST_ANNOTATION = "seaway.dev/manifest-digest"
_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_DNS = re.compile(r"[^a-z0-9-]+")


def digest(run_id: str, manifest: Mapping[str, Any]) -> str:
    """64 hex digits over the run's id and the manifest, its name left out."""
    metadata = {k: v for k, v in manifest.get("metadata", {}).items() if k != "name"}
    canonical = json.dumps({**manifest, "metadata": metadata}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{run_id}\0{canonical}".encode()).hexdigest()


def object_name(prefix: str, run_id: str, manifest: Mapping[str, Any], *, suffix: int = 12) -> str:
    """A DNS-1035 label: the prefix, cut to fit, and 10 hex digits.

    Args:
        prefix: for people.
        run_id: of the run.
        manifest: of the object.
        suffix: letters that controllers append, such as ``-worker-12``; what is left of 63 is the name's.
    """
    room = 63 - suffix - 11
    return f"{dns_label(prefix)[:room].rstrip('-')}-{digest(run_id, manifest)[:10]}"


def dns_label(text: str) -> str:
    """``text`` as a label of RFC 1035: at most 63 lower case letters, digits and ``-``, a letter first."""
    label = _DNS.sub("-", text.lower()).strip("-")
    if not label or not label[0].isalpha():
        label = f"m-{label}".rstrip("-")
    return label[:63].rstrip("-")


def label_value(text: str) -> str:
    """``text`` as a label's value: at most 63 characters, letters, digits and ``._-``, alphanumeric at both ends."""
    return _LABEL.sub("-", text)[:63].strip("._-")


def run_labels(run_id: str, component: str) -> dict[str, str]:
    """Labels by which everything that a run created is found."""
    labels = {**MANAGED_BY, "app.kubernetes.io/component": label_value(component)}
    return {**labels, RUN_LABEL: label_value(run_id)} if run_id else labels
