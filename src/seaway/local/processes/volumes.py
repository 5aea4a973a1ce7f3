"""emptyDir volumes: a folder of the pod's own that appears, as a link, where the manifest mounts it.

Processes see the machine's own files, so a volume can only appear where a folder may be made: below the folder for
temporary files, under a name that nobody has. The files are in the pod's folder and go with it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from pathlib import Path

from seaway.local.api.status import Object

FOLDER = ".volumes"
"""In a pod's folder; no container can have this name."""
_NOTE = ".at"


def can_appear(source: str, at: str) -> bool:
    """Whether a volume of that kind can appear at a path."""
    path = Path(at)
    below = any(path.is_relative_to(root) and path != root for root in _roots())
    return source == "emptyDir" and below and ".." not in path.parts


def place(folder: Path, pod: Object, container: Object) -> str:
    """Make a container's emptyDir volumes appear; why one cannot, or nothing.

    Args:
        folder: of the pod.
        pod: its manifest.
        container: whose mounts.
    """
    empty = {one["name"] for one in pod["spec"].get("volumes") or [] if "emptyDir" in one}
    for mount in container.get("volumeMounts") or []:
        if mount["name"] not in empty or not can_appear("emptyDir", mount["mountPath"]):
            continue
        own, at = folder / FOLDER / mount["name"], Path(mount["mountPath"])
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / FOLDER / f"{mount['name']}{_NOTE}").write_text(str(at))
        if at.is_symlink() and at.readlink() == own:
            continue
        if os.path.lexists(at) and not (at.is_symlink() and FOLDER in at.readlink().parts):
            return (
                f"volume {mount['name']!r} cannot be mounted at {at}: something of another is there; use another path"
            )
        at.parent.mkdir(parents=True, exist_ok=True)
        link = at.with_name(f".{at.name}.{uuid.uuid4().hex[:8]}")
        link.symlink_to(own)
        try:
            link.replace(at)  # that of an earlier pod of the same job, too
        except OSError as error:
            link.unlink()
            return f"volume {mount['name']!r} cannot be mounted at {at}: {error.strerror}; use another path"
    return ""


def remove(folder: Path) -> None:
    """Take away the links to a pod's volumes; the files go with the pod's folder."""
    for note in (folder / FOLDER).glob(f"*{_NOTE}"):
        with contextlib.suppress(OSError):
            at = Path(note.read_text())
            if at.is_symlink() and at.readlink().is_relative_to(folder):
                at.unlink()


def _roots() -> tuple[Path, ...]:
    return Path("/tmp"), Path(tempfile.gettempdir())  # noqa: S108
