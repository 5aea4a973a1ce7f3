"""What is installed in an image, worked out from its row of images.txt and the distributions of this environment."""

from __future__ import annotations

import configparser
from collections import deque
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
_HERE = {"pip", "setuptools", "wheel"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an image is built with."""

    extras: set[str]
    """Of seaway."""
    alone: set[str]
    """Distributions without what they require."""
    framework: str
    """Distribution that trains; empty for none."""
    index: str


def rows() -> dict[str, Row]:
    """By image."""
    found = {}
    for line in (IMAGES / "images.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, extras, alone, framework, index = ("" if word == "-" else word for word in line.split())
            found[name] = Row(extras=set(extras.split(",")), alone=set(alone.split()), framework=framework, index=index)
    return found


def names() -> list[str]:
    """Of all images."""
    return sorted(rows())


def text() -> str:
    """The Containerfile of all images."""
    return (IMAGES / "Containerfile").read_text()


def required(wanted: set[str]) -> list[str]:
    """What setup.cfg requires for some extras, direct requirements alone."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = [config["options"]["install_requires"], *(config["options.extras_require"][e] for e in sorted(wanted))]
    return [line.strip() for text in lines for line in text.splitlines() if line.strip() and line[0] != "#"]


def closure(requirements: list[str]) -> set[str]:
    """Canonical names of all that they require, as the distributions of this environment say."""
    seen: set[tuple[str, str]] = set()
    waiting = deque([(canonicalize_name(r.name), e) for r in map(Requirement, requirements) for e in ("", *r.extras)])
    while waiting:
        name, extra = waiting.popleft()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in requires:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(requirement.name), e) for e in ("", *requirement.extras)]
    return {name for name, _ in seen}


def distributions(image: str) -> set[str]:
    """Canonical names of all that the image installs."""
    row = rows()[image]
    return {"seaway"} | closure(required(row.extras)) | row.alone


def blocked(image: str) -> set[str]:
    """Modules of this environment that the image does not have, as they are imported: ``kfp``, ``google.cloud``."""
    there = distributions(image)
    files: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for module in _modules(distribution):
            files.setdefault(module, set()).add(name)
    return {m for m, owners in files.items() if not owners & there and not owners <= _HERE}


def unseen(image: str) -> set[str]:
    """Canonical names of distributions of this environment that the image does not have."""
    here = {canonicalize_name(distribution.metadata["Name"]) for distribution in metadata.distributions()}
    return here - distributions(image) - _HERE


def _modules(distribution: metadata.Distribution) -> set[str]:
    """Top-level modules; below ``google`` and ``kubeflow``, which many distributions share, the second level."""
    found = set()
    for file in distribution.files or []:
        parts = file.parts
        if file.suffix in (".py", ".so") and parts[0].partition(".")[0].isidentifier():
            shared = parts[0] in ("google", "kubeflow")
            found.add(".".join(parts[: 2 if shared else 1]).removesuffix(".py").removesuffix(".so"))
    return found
