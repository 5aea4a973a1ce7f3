"""What a container's process gets: command, environment and working folder, from the manifest."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.local.api.status import Object
from seaway.local.processes.volumes import can_appear

Lookup = Callable[[str, str, str], Object | None]
"""Resource, namespace and name to the object, None when there is none."""

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][-A-Za-z0-9_.]*)\)")
_LABEL_PATH = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_PYTHONS = ("python", "python3")
_KEPT = ("LANG", "LC_ALL", "TZ")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108
"""Where training containers mount an emptyDir, as a container's own is small; the machine's is there already."""


class ContainerError(Exception):
    """Why a container cannot be started now; it is tried again."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to execute."""

    argv: list[str]
    env: dict[str, str]
    cwd: str


def launch(pod: Object, container: Object, lookup: Lookup, base: dict[str, str]) -> Launch:
    """Work out what a container executes; raises ContainerError when the manifest asks for what is not there."""
    _refuse_mounts(pod, container)
    env = base | _identity(pod, container)
    env |= _env_from(pod, container, lookup)
    for variable in container.get("env") or []:
        value = _value(pod, container, variable, lookup)
        if value is not None:
            env[variable["name"]] = _expand(value, env)
    argv = [_expand(one, env) for one in (container.get("command") or []) + (container.get("args") or [])]
    if not container.get("command"):
        image = container.get("image", "")
        message = (
            f"no image is pulled on the laptop: container {container['name']!r} (image {image!r}) must name its "
            "command, which is then run as a local process; add `command: [...]`"
        )
        raise ContainerError("ErrImagePull", message)
    return Launch(argv=[_program(argv[0], env), *argv[1:]], env=env, cwd=_folder(container))


def base_environment(*, home: Path, kubeconfig: Path) -> dict[str, str]:
    """The small environment that every container begins with."""
    programs = str(Path(sys.executable).parent)
    env = {
        "PATH": programs + os.pathsep + os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", str(Path.home())),
        "LANG": "C.UTF-8",
        "TMPDIR": tempfile.gettempdir(),
        # Lines reach the log as they are written, not when a buffer is full.
        "PYTHONUNBUFFERED": "1",
        "SEAWAY_HOME": str(home),
        "KUBECONFIG": str(kubeconfig),
    }
    if sys.prefix != sys.base_prefix:
        env["VIRTUAL_ENV"] = sys.prefix
    return env | {name: os.environ[name] for name in _KEPT if name in os.environ}


def _identity(pod: Object, container: Object) -> dict[str, str]:
    metadata = pod["metadata"]
    return {
        "HOSTNAME": metadata["name"],
        "POD_NAMESPACE": metadata["namespace"],
        "SEAWAY_POD_UID": metadata["uid"],
        "SEAWAY_CONTAINER": container["name"],
    }


def _env_from(pod: Object, container: Object, lookup: Lookup) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if field in source:
                data = _data(pod, resource, source[field], lookup)
                found |= {prefix + key: value for key, value in (data or {}).items()}
    return found


def _value(pod: Object, container: Object, variable: Object, lookup: Lookup) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if field in source:
            reference = source[field]
            data = _data(pod, resource, reference, lookup)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            message = f"couldn't find key {reference['key']} in {_kind(resource)} {_where(pod, reference)}"
            raise ContainerError("CreateContainerConfigError", message)
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        kind, _, name = source["resourceFieldRef"]["resource"].partition(".")
        return str(((container.get("resources") or {}).get(kind) or {}).get(name, "0"))
    raise ContainerError("CreateContainerConfigError", f"variable {variable['name']}: valueFrom has no known source")


def _data(pod: Object, resource: str, reference: Object, lookup: Lookup) -> dict[str, str] | None:
    item = lookup(resource, pod["metadata"]["namespace"], reference.get("name", ""))
    if item is None:
        if reference.get("optional"):
            return None
        message = f'{_kind(resource).lower()} "{reference.get("name", "")}" not found'
        raise ContainerError("CreateContainerConfigError", message)
    data: dict[str, str] = item.get("data") or {}
    if resource == "secrets":
        return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}
    return dict(data)


def _kind(resource: str) -> str:
    return {"configmaps": "ConfigMap", "secrets": "Secret"}[resource]


def _where(pod: Object, reference: Object) -> str:
    return f"{pod['metadata']['namespace']}/{reference.get('name', '')}"


def _field(pod: Object, path: str) -> str:
    if found := _LABEL_PATH.fullmatch(path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    fixed = {"status.podIP": "127.0.0.1", "status.hostIP": "127.0.0.1", "spec.nodeName": "laptop"}
    if path in fixed:
        return fixed[path]
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return "" if isinstance(value, dict | list) else str(value)


def _expand(text: str, env: dict[str, str]) -> str:
    """$(NAME) becomes the variable's value, $$ one dollar; a name that is not known stays as it is written."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def _program(name: str, env: dict[str, str]) -> str:
    if name in _PYTHONS:
        return sys.executable
    found = shutil.which(name, path=env.get("PATH"))
    if found is None:
        message = (
            f'exec: "{name}": executable file not found in $PATH: the laptop runs a container\'s command as a local '
            "process; install the program or name one that is here"
        )
        raise ContainerError("StartError", message)
    return found


def _folder(container: Object) -> str:
    wanted = container.get("workingDir")
    return wanted if wanted and Path(wanted).is_dir() else tempfile.gettempdir()


def _refuse_mounts(pod: Object, container: Object) -> None:
    """A process shares the machine's files: a volume cannot appear at a path of its own."""
    kinds = {
        one.get("name"): next((key for key in one if key != "name"), "") for one in pod["spec"].get("volumes") or []
    }
    for mount in container.get("volumeMounts") or []:
        source = kinds.get(mount.get("name"), "")
        at = mount.get("mountPath", "")
        if (source, at) == ("emptyDir", _SHARED_MEMORY) or can_appear(source, at):
            continue
        if source == "hostPath":
            volume = next(one for one in pod["spec"]["volumes"] if one["name"] == mount["name"])
            if volume["hostPath"].get("path") == mount.get("mountPath"):
                continue
        message = (
            f"volume {mount.get('name')!r} ({source or 'not defined'}) cannot be mounted at "
            f"{mount.get('mountPath')}: pods are local processes and see the machine's own files; "
            "pass the data by env, envFrom or a path instead"
        )
        raise ContainerError("CreateContainerConfigError", message)
