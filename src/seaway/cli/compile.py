"""seaway compile: the only writer of component.yaml and pipeline.yaml."""

from __future__ import annotations

import importlib
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import click

from seaway.submission.source import compiled


@click.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not what would be written.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Another folder to write to."
)
def compile_command(check: bool, out: Path | None) -> None:
    """Compile every component and pipeline to the YAML beside it."""
    root = Path(str(resources.files("seaway")))
    stale = []
    for target, source in sources(root):
        text = compiled(source)
        path = (out or root) / target
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(str(target))
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(str(target))
    if stale:
        click.secho(f"not as compiled: {', '.join(stale)}: run `make compile`", fg="red", err=True)
        sys.exit(1)


def sources(root: Path) -> list[tuple[Path, Any]]:
    """(YAML below the package, the component or pipeline it is compiled from), sorted."""
    found = []
    for kind, plural in (("component", "components"), ("pipeline", "pipelines")):
        for module in sorted((root / plural).glob(f"*/{kind}.py")):
            name = module.parent.name
            function = getattr(importlib.import_module(f"seaway.{plural}.{name}.{kind}"), name)
            found.append((Path(plural) / name / f"{kind}.yaml", function))
    return found
