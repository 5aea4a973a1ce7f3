"""Where a laptop keeps its things: one folder, readable by its user only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from seaway.errors import LaptopError


def home() -> Path:
    """The laptop's folder: the environment variable SEAWAY_HOME, else ``~/.seaway``. It need not exist."""
    named = os.environ.get("SEAWAY_HOME")
    return Path(named).expanduser().absolute() if named else Path.home() / ".seaway"


@dataclass(frozen=True)
class Paths:
    """The files and folders inside a laptop's home."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """What kubectl and the Kubernetes clients read; holds the bearer token."""
        return self.root / "kubeconfig"

    @property
    def token(self) -> Path:
        """The bearer token alone."""
        return self.root / "token"

    @property
    def certificate(self) -> Path:
        """The self-signed certificate (PEM)."""
        return self.root / "laptop.crt"

    @property
    def key(self) -> Path:
        """The certificate's private key (PEM)."""
        return self.root / "laptop.key"

    @property
    def database(self) -> Path:
        """SQLite: the objects and the log of changes."""
        return self.root / "objects.sqlite"

    @property
    def pods(self) -> Path:
        """One folder a pod, by uid: logs and exit records of its containers."""
        return self.root / "pods"

    @property
    def runs(self) -> Path:
        """One folder a pipeline run."""
        return self.root / "runs"

    @property
    def log(self) -> Path:
        """What the laptop itself has to say."""
        return self.root / "laptop.log"

    @property
    def lock(self) -> Path:
        """Held by the one running laptop of this home."""
        return self.root / "laptop.lock"

    @property
    def record(self) -> Path:
        """JSON: pid, port and start time of the running laptop."""
        return self.root / "laptop.json"

    def make(self) -> None:
        """Create the folders, closed to other users; LaptopError when they cannot be."""
        for folder in (self.root, self.pods, self.runs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
            except OSError as error:
                raise LaptopError(
                    f"{folder} must be a folder that the laptop may make and write to: {error.strerror}; "
                    "mend that or set SEAWAY_HOME to another folder"
                ) from error


def paths() -> Paths:
    """The paths of ``home()`` as it is now."""
    return Paths(home())


def write_private(path: Path, text: str) -> None:
    """Write ``text`` so that nobody else can ever read it, and all or nothing of it is there."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
