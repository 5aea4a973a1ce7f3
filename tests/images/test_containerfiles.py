"""The images as their Containerfiles say: small, pinned, for nobody in particular."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from seaway._version import __version__
from seaway.launch.train import FRAMEWORKS
from tests.images.installed import IMAGES, ROOT, distributions, names, text

EVERY = pytest.mark.parametrize("image", names())
STEPS = ("launcher", "sklearn")


def pins() -> dict[str, str]:
    """Canonical name to version, of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, equal, version in (n.partition("==") for n in lines) if equal}


def used_by_components() -> dict[str, str]:
    """Component to the image that it is compiled with."""
    found = {}
    for file in sorted((ROOT / "components").glob("*/component.yaml")):
        [image] = re.findall(r"image: .*/seaway-(\w+)-python:", file.read_text())
        found[file.parent.name] = image
    return found


def test_every_image_that_something_names_is_there_and_no_other() -> None:
    named = {*used_by_components().values(), *(f.image for f in FRAMEWORKS.values()), "server"}
    assert named == set(names())
    assert set(used_by_components().values()) == set(STEPS)


@EVERY
def test_the_base_is_pinned_and_can_be_pinned_by_digest(image: str) -> None:
    lines = text(image).splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM ${PYTHON_IMAGE} AS install",
        "FROM ${PYTHON_IMAGE}",
    ]
    [base] = [line for line in lines if line.startswith("ARG PYTHON_IMAGE=")]
    assert re.fullmatch(r"ARG PYTHON_IMAGE=docker\.io/library/python:3\.\d+-slim-\w+", base)


@EVERY
def test_nothing_is_compiled_cached_or_unpinned(image: str) -> None:
    installs = re.findall(r"pip install ([^&]+)", text(image).replace("\\\n", ""))
    assert installs
    for line in installs:
        assert "--no-cache-dir" in line
        assert "--only-binary=:all:" in line
        assert "-c constraints.txt" in line
    assert "apt-get" not in text(image)


@EVERY
def test_it_runs_as_nobody_in_particular(image: str) -> None:
    last = text(image).rpartition("FROM ")[2]
    [user] = re.findall(r"^USER (.*)$", last, re.MULTILINE)
    # by number: Kubernetes checks runAsNonRoot only then
    assert user == "65532:65532"
    assert "ENTRYPOINT" not in last, "KFP and Kubernetes give the command"


@EVERY
def test_every_distribution_of_an_image_has_a_pinned_version(image: str) -> None:
    assert not distributions(image) - set(pins()) - {"seaway"}


def test_a_steps_jobs_come_from_where_its_image_came_from() -> None:
    for image in names():
        handed_on = "SEAWAY_IMAGE_REGISTRY=${REGISTRY}" in text(image) and "SEAWAY_IMAGE_TAG=${VERSION}" in text(image)
        assert handed_on == (image in STEPS)


def test_the_framework_is_the_one_that_its_worker_imports() -> None:
    """FRAMEWORK_VERSION replaces the pin of the distribution that the image is named for."""
    for image, pinned in (("sklearn", "scikit-learn"), ("torch", "torch")):
        assert f"s/^{pinned}==.*/{pinned}==" in text(image)
        assert pinned in pins()


def test_modules_that_images_run_exist() -> None:
    for framework in FRAMEWORKS.values():
        assert find_spec(framework.module)


def test_build_names_images_as_pipelines_do(tmp_path: Path) -> None:
    """The build script with a builder that only says what it was asked for."""
    said, builder = tmp_path / "said", tmp_path / "builder"
    builder.write_text(f'#!/bin/sh\necho "$@" >> {said}\nls "$(eval echo \\${{$#}})" >> {said}\n')
    builder.chmod(0o755)
    env = os.environ | {
        "BUILDER": str(builder),
        "PYTHON": sys.executable,
        "SEAWAY_IMAGE_REGISTRY": "registry.example/team",
        "FRAMEWORK_VERSION": "2.12",
        "PYTHON_IMAGE": "python@sha256:0",
        "PIP_NO_BUILD_ISOLATION": "false",  # which, as pip reads it, means: use what is installed here
    }
    done = subprocess.run(
        [str(IMAGES / "build"), "torch"], env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    name = f"registry.example/team/seaway-torch-python:{__version__}-torch2.12"
    assert done.stdout.splitlines()[-1] == name
    asked, *context = said.read_text().splitlines()
    assert f"--build-arg VERSION={__version__} " in asked
    assert "--build-arg FRAMEWORK_VERSION=2.12" in asked
    assert "--build-arg PYTHON_IMAGE=python@sha256:0" in asked
    assert "--build-arg REGISTRY" not in asked, "torch's Containerfile knows no such argument"
    assert f"--file images/torch/Containerfile --tag {name}" in asked
    assert "constraints.txt" in context
    assert any(re.fullmatch(rf"seaway-{re.escape(__version__)}-.*\.whl", f) for f in context)
    assert not (ROOT / "build").exists()


def test_build_says_when_there_is_no_builder(tmp_path: Path) -> None:
    for program in ("sh", "dirname"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    done = subprocess.run(
        [str(tmp_path / "sh"), str(IMAGES / "build")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "podman, docker or buildah must be installed, found none" in done.stderr
