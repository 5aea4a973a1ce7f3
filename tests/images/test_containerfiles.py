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
from tests.images.installed import IMAGES, ROOT, distributions, names, rows, text

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


def test_the_base_is_pinned_and_can_be_pinned_by_digest() -> None:
    lines = text().splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM ${PYTHON_IMAGE} AS install",
        "FROM ${PYTHON_IMAGE}",
    ]
    [base] = [line for line in lines if line.startswith("ARG PYTHON_IMAGE=")]
    assert re.fullmatch(r"ARG PYTHON_IMAGE=docker\.io/library/python:3\.\d+-slim-\w+", base)


def test_nothing_is_compiled_cached_or_unpinned() -> None:
    installs = re.findall(r"pip install ([^&;]+)", text().replace("\\\n", ""))
    assert len(installs) == 4
    for line in installs:
        assert "--no-cache-dir" in line
        assert "--only-binary=:all:" in line
        assert "-c constraints.txt" in line
    assert "apt-get" not in text()


def test_it_runs_as_nobody_in_particular() -> None:
    last = text().rpartition("FROM ")[2]
    [user] = re.findall(r"^USER (.*)$", last, re.MULTILINE)
    # by number: Kubernetes checks runAsNonRoot only then
    assert user == "65532:65532"
    assert "ENTRYPOINT" not in last, "KFP and Kubernetes give the command"


@EVERY
def test_every_distribution_of_an_image_has_a_pinned_version(image: str) -> None:
    assert not distributions(image) - set(pins()) - {"seaway"}


def test_a_steps_jobs_come_from_where_its_image_came_from() -> None:
    assert "SEAWAY_IMAGE_REGISTRY=${REGISTRY}" in text()
    assert "SEAWAY_IMAGE_TAG=${VERSION}" in text()


def test_steps_alone_hold_what_runs_a_step() -> None:
    assert {name for name, row in rows().items() if row.alone == {"kfp"}} == set(STEPS)


def test_the_framework_is_a_distribution_of_its_image() -> None:
    """FRAMEWORK_VERSION replaces its pin, ACCELERATED its build, FRAMEWORK_INDEX its origin."""
    for name, row in rows().items():
        assert bool(row.framework) == any(f.image == name for f in FRAMEWORKS.values())
        if row.framework:
            assert row.framework in pins()
            assert row.framework in distributions(name)
    # the package index has a torch that brings CUDA in any case
    assert [name for name, row in rows().items() if row.index] == ["torch"]


def test_modules_that_images_run_exist() -> None:
    for framework in FRAMEWORKS.values():
        assert find_spec(framework.module)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """What a builder was asked for that does nothing but say so: its arguments, and the files of the context."""
    said, builder = tmp_path / "said", tmp_path / "builder"
    builder.write_text(f'#!/bin/sh\necho "$@" >> {said}\nls "$(eval echo \\${{$#}})" >> {said}\n')
    builder.chmod(0o755)
    return said


def build(asked: Path, *names: str, **env: str) -> list[str]:
    """The images that the build script names."""
    known = os.environ | {
        "BUILDER": str(asked.parent / "builder"),
        "PYTHON": sys.executable,
        "SEAWAY_IMAGE_REGISTRY": "registry.example/team",
        "PIP_NO_BUILD_ISOLATION": "false",  # which, as pip reads it, means: use what is installed here
    }
    command = [str(IMAGES / "build"), *names]
    done = subprocess.run(command, env=known | env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_build_names_images_as_pipelines_do(asked: Path) -> None:
    built = build(asked, "torch", "server", FRAMEWORK_VERSION="2.12", PYTHON_IMAGE="python@sha256:0")
    torch = f"registry.example/team/seaway-torch-python:{__version__}-torch2.12"
    server = f"registry.example/team/seaway-server-python:{__version__}"
    assert built == [torch, server]
    of_torch, of_server = (line for line in asked.read_text().splitlines() if line.startswith("build "))
    for argument in (
        "NAME=torch",
        f"VERSION={__version__}",
        "REGISTRY=registry.example/team",
        "PYTHON_IMAGE=python@sha256:0",
        "EXTRAS=torch,s3",
        "FRAMEWORK=torch",
        "FRAMEWORK_VERSION=2.12",
        "FRAMEWORK_INDEX=https://download.pytorch.org/whl/cpu",
    ):
        assert f"--build-arg {argument} " in of_torch
    assert "ALONE" not in of_torch
    assert "ACCELERATED" not in of_torch
    assert f"--file images/Containerfile --tag {torch} " in of_torch
    assert "EXTRAS=server " in of_server
    assert "FRAMEWORK" not in of_server
    context = asked.read_text().splitlines()
    assert "constraints.txt" in context
    assert any(re.fullmatch(rf"seaway-{re.escape(__version__)}-.*\.whl", f) for f in context)
    assert not (ROOT / "build").exists()


def test_build_takes_all_images_and_their_builds_for_gpus(asked: Path) -> None:
    built = build(asked, ACCELERATED="jax[cuda13]", SEAWAY_IMAGE_TAG="1-cuda")
    assert sorted(built) == [f"registry.example/team/seaway-{name}-python:1-cuda" for name in names()]
    lines = [line for line in asked.read_text().splitlines() if line.startswith("build ")]
    given = {name: line for line in lines for name in names() if f"NAME={name} " in line}
    assert {name for name, line in given.items() if "ACCELERATED=jax[cuda13] " in line} == {
        name for name, row in rows().items() if row.framework
    }
    assert "ALONE=kfp " in given["launcher"]


def test_every_argument_of_the_containerfile_is_one_that_build_gives() -> None:
    [given] = re.findall(r"for argument in (.*?); do", (IMAGES / "build").read_text().replace("\\\n", ""), re.S)
    assert set(re.findall(r"^ARG (\w+)", text(), re.M)) == set(given.split())


def test_build_names_what_it_can_build(asked: Path) -> None:
    with pytest.raises(
        AssertionError, match="one of launcher sklearn torch jax tensorflow xgboost server, found torch2"
    ):
        build(asked, "torch2")


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
