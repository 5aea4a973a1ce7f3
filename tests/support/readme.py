"""Writes what is generated in READMEs from the compiled YAML: one a component and pipeline, a table in the main one.

``python -m tests.support.readme`` writes, ``--check`` fails if a file is not what would be written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- components: written by make compile -->", "<!-- end -->"
TYPES = {
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "dict",
    "system.Artifact": "Artifact",
    "system.Dataset": "Dataset",
    "system.Model": "Model",
    "system.Metrics": "Metrics",
    "system.ClassificationMetrics": "ClassificationMetrics",
    "system.HTML": "HTML",
    "system.Markdown": "Markdown",
}


def generated() -> dict[Path, str]:
    """Every file that is written wholly or partly, and its text."""
    out = {}
    rows = ["| component | what it does |", "|---|---|"]
    for kind in ("component", "pipeline"):
        for path in sorted(ROOT.glob(f"{kind}s/*/{kind}.yaml")):
            spec = next(yaml.safe_load_all(path.read_text(encoding="utf-8")))
            out[path.parent / "README.md"] = readme(path.parent.name, kind, spec)
            if kind == "component":
                name = path.parent.name
                rows.append(f"| [{name}](components/{name}/README.md) | {summary(path.parent, kind)} |")
    main = (ROOT / "README.md").read_text(encoding="utf-8")
    head, rest = main.split(BEGIN)
    out[ROOT / "README.md"] = head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.split(END, 1)[1]
    return out


def summary(folder: Path, kind: str) -> str:
    """The first line of the module's docstring, without the name."""
    first = (folder / f"{kind}.py").read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
    return first.partition(": ")[2].rstrip(".")


def readme(name: str, kind: str, spec: Mapping[str, Any]) -> str:
    """The README of a component or pipeline."""
    inner = next(iter(spec["components"].values())) if kind == "component" else spec["root"]
    module = f"seaway.{kind}s.{name}.{kind}"
    lines = [f"# {name}", "", summary(ROOT / f"{kind}s" / name, kind) + ".", "", "## Inputs", ""]
    lines += ["| name | type | default | meaning |", "|---|---|---|---|"]
    inputs = {
        **inner.get("inputDefinitions", {}).get("artifacts", {}),
        **inner.get("inputDefinitions", {}).get("parameters", {}),
    }
    for key, value in inputs.items():
        default = f"`{json.dumps(value['defaultValue'])}`" if "defaultValue" in value else ""
        lines.append(f"| {key} | {kind_of(value)} | {default} | {text(value)} |")
    outputs = {
        **inner.get("outputDefinitions", {}).get("artifacts", {}),
        **inner.get("outputDefinitions", {}).get("parameters", {}),
    }
    if outputs:
        lines += ["", "## Outputs", "", "| name | type | meaning |", "|---|---|---|"]
        lines += [f"| {key} | {kind_of(value)} | {text(value)} |" for key, value in outputs.items()]
    lines += ["", "## Use", "", "```python", f"from {module} import {name}", "```", ""]
    if kind == "component":
        lines += [f'or `kfp.components.load_component_from_file("components/{name}/component.yaml")`.', ""]
    else:
        lines += [f"or upload `pipelines/{name}/pipeline.yaml` in the KFP UI; on a laptop `seaway run {name}`.", ""]
    return "\n".join(lines)


def kind_of(value: Mapping[str, Any]) -> str:
    """The Python or KFP type of an input or output."""
    return TYPES[value["parameterType"] if "parameterType" in value else value["artifactType"]["schemaTitle"]]


def text(value: Mapping[str, Any]) -> str:
    """The description on one line of a table."""
    return " ".join(value.get("description", "").split()).replace("|", "\\|")


def main() -> int:
    """Write or check."""
    stale = []
    for path, content in generated().items():
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(content, encoding="utf-8")
    if stale:
        sys.stderr.write(("not as generated: " if "--check" in sys.argv else "wrote ") + ", ".join(stale) + "\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
