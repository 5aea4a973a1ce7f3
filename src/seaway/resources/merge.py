"""Deep merge: how a user's ``patch`` changes a manifest (RFC 7386, JSON Merge Patch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(manifest: Any, patch: Any) -> Any:
    """The manifest with the patch applied: objects merge, null removes, all else replaces; neither argument changes."""
    if not isinstance(patch, Mapping):
        return patch
    out = dict(manifest) if isinstance(manifest, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out
