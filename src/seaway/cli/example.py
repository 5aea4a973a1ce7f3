"""seaway example: real data to try things on."""

from __future__ import annotations

from pathlib import Path

import click

from seaway.local.home import home


@click.group("example")
def example_command() -> None:
    """Write example data."""


@example_command.command("flights")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
def flights(out: Path) -> None:
    """The flights that left New York in 2013, with weather and planes; targets late and delay_minutes."""
    from seaway.data.flights import write

    report = write(out)
    click.echo(f"{report.path}: {report.rows:,} rows, {report.without_target:,} of them without a target")


def flights_file() -> Path:
    """The flights in the laptop's home, written there once."""
    from seaway.data.flights import write

    folder = home() / "data" / "flights"
    file = folder / "flights.parquet"
    if not file.exists():
        write(folder)
    return file
