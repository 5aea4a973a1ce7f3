"""Where a pipeline comes from: one of Seaway's by name, a compiled YAML, a Python file, or the function itself.

In: what a person names. Out: the path of a compiled YAML.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import tempfile
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

from seaway.errors import InputError

_DEFAULT = re.compile(r"^(# .*: (?:dict|list) \[Default: )(.+)\]$", re.MULTILINE)


def find(pipeline: Any, folder: Path) -> Path:
    """The compiled YAML of a pipeline.

    Args:
        pipeline: a name such as train_and_serve; the path of a YAML; ``file.py`` or ``file.py:function``; or a function
            with ``@dsl.pipeline``.
        folder: where to compile to, if there is something to compile.

    Raises:
        InputError: there is no such pipeline, or it does not compile.
    """
    if hasattr(pipeline, "pipeline_spec"):
        return _written(pipeline, folder)
    name = str(pipeline)
    file, _, function = name.partition(".py:")
    if name.endswith(".py") or function:
        return _written(_loaded(Path(file + ".py" if function else file), function), folder)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"{name}: must be a compiled pipeline, there is no such file")
        return path.resolve()
    root = Path(str(resources.files("seaway"))) / "pipelines"
    known = sorted(p.parent.name for p in root.glob("*/pipeline.yaml"))
    if name.replace("-", "_") not in known:
        raise InputError(f"pipeline must be one of {known} or the path of a YAML or .py, found {name!r}")
    return (root / name.replace("-", "_") / "pipeline.yaml").resolve()


def compiled(function: Any) -> str:
    """The YAML of a component or pipeline; the same each time."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

        path = Path(folder) / "compiled.yaml"
        compiler.Compiler().compile(function, str(path))
        return _DEFAULT.sub(_sorted, path.read_text(encoding="utf-8"))


def _sorted(found: re.Match[str]) -> str:
    """A dict's default in the comments on top, its keys sorted: kfp writes them in an order that changes."""
    value = json.dumps(ast.literal_eval(found[2]), sort_keys=True)
    return f"{found[1]}{value}]"


def _written(function: Any, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{function.name}.yaml"
    path.write_text(compiled(function), encoding="utf-8")
    return path.resolve()


def _loaded(path: Path, wanted: str) -> Any:
    """The pipeline function of a Python file."""
    if not path.is_file():
        raise InputError(f"{path}: must be a Python file with a pipeline, there is no such file")
    found = {name: x for name, x in _run(path).items() if hasattr(x, "pipeline_func")}
    own = {name: x for name, x in found.items() if x.pipeline_func.__module__ == _module(path)} or found
    if wanted:
        if wanted not in found:
            raise InputError(f"{path}: must have the pipeline {wanted!r}, found {sorted(found) or 'none'}")
        return found[wanted]
    if len(own) != 1 and path.stem in own:
        return own[path.stem]
    if len(own) != 1:
        pick = f": name one, {path}:{min(own)}" if own else ": decorate a function with @dsl.pipeline"
        raise InputError(f"{path}: must have one pipeline, found {sorted(own) or 'none'}{pick}")
    return next(iter(own.values()))


def _run(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(_module(path), path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_module(path)] = module  # kfp asks for the source of components through their module
    sys.path.insert(0, str(path.parent.resolve()))  # as `python file.py` would
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    except Exception as e:  # whatever the user's file does
        future = "annotations" in vars(module)  # kfp takes the texts for names of artifacts
        hint = ": leave out `from __future__ import annotations`, which kfp cannot read" if future else ""
        raise InputError(f"{path}: must run without an error, found {type(e).__name__}: {e}{hint}") from e
    finally:
        sys.path.remove(str(path.parent.resolve()))
        del sys.modules[_module(path)]
    return vars(module)


def _module(path: Path) -> str:
    return f"seaway_pipeline_{path.stem}"
