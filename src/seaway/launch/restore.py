"""What launchers of lasting objects have in common: say why one is not ready, and let it be what it was before."""

from __future__ import annotations

import logging

from seaway.launch.api import Api, Object

_log = logging.getLogger("seaway.launch")


def put_back(api: Api, kind: tuple[str, str], name: str, before: Object | None, *, was: str = "what it was") -> None:
    """Let an object be what it was: its former spec, or nothing if there was none.

    Args:
        api: where.
        kind: apiVersion and kind.
        name: of the object.
        before: as it was, None if it was not.
        was: what it goes back to, for people.
    """
    if before is None:
        _log.warning(f"{kind[1]} {name} is deleted: it never answered as it should")
        api.delete(kind, name)
        return
    _log.warning(f"{kind[1]} {name} goes back to {was}")
    kept = {k: before["metadata"].get(k, {}) for k in ("labels", "annotations")}
    api.apply({**{k: before[k] for k in ("apiVersion", "kind", "spec")}, "metadata": {"name": name, **kept}})


def unmet(resource: Object) -> list[str]:
    """The conditions of an object that do not hold, in words."""
    return [
        f"{c['type']}={c['status']} {c.get('reason', '')} {c.get('message', '')}".strip()
        for c in resource.get("status", {}).get("conditions") or []
        if c["status"] != "True"
    ]
