"""The command ``seaway``. Each command is a module below this one, imported only when it is asked for."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click

from seaway._version import __version__
from seaway.errors import SeawayError

COMMANDS = {
    "run": "run",
    "runs": "runs",
    "logs": "logs",
    "trace": "trace",
    "cancel": "cancel",
    "predict": "predict",
    "up": "laptop",
    "down": "laptop",
    "status": "laptop",
    "kubeconfig": "laptop",
    "example": "example",
    "submit": "submit",
    "compile": "compile",
    "doctor": "doctor",
}
"""Each command and the module that has it."""
DISK = {
    errno.ENOSPC: "free some space there, or set SEAWAY_HOME to a folder on another disk",
    errno.EDQUOT: "free some space there, or set SEAWAY_HOME to a folder on another disk",
    errno.EROFS: "it must be writable: set SEAWAY_HOME, or name another folder",
    errno.EACCES: "you must have the right to use it: change its mode, set SEAWAY_HOME, or name another",
    errno.EPERM: "you must have the right to use it: change its mode, set SEAWAY_HOME, or name another",
    errno.ENOENT: "it must be there and could not be made: check SEAWAY_HOME and the path",
    errno.ENOTDIR: "a folder on the way is a file: check SEAWAY_HOME and the path",
    errno.EISDIR: "it must be a file: check the path",
}
"""What to do about a disk that refuses; other errors of the system are bugs and keep their traceback."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = getattr(importlib.import_module(f"seaway.cli.{module}"), f"{cmd_name}_command")
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seaway")
def seaway() -> None:
    """Kubeflow Pipelines components from raw data to a served model; the same pipelines on this laptop."""


def main(args: list[str] | None = None) -> Any:
    """Run the command; an error that Seaway raises on purpose is one line, not a traceback."""
    try:
        return seaway(args, standalone_mode=True)
    except SeawayError as e:
        click.secho(f"error: {e}", fg="red", err=True)
        sys.exit(1)
    except OSError as e:
        if e.errno not in DISK:
            raise
        what = f"{e.filename}: " if e.filename else ""
        click.secho(f"error: {what}{e.strerror}: {DISK[e.errno]}", fg="red", err=True)
        sys.exit(1)
    except ImportError as e:
        if (e.name or "").startswith("seaway"):
            raise
        click.secho(f"error: {e}: this command needs `pip install seaway[local]`", fg="red", err=True)
        sys.exit(1)
