"""The progress of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.table import Table

Step = Mapping[str, Any]
_SIGN = {"running": "●", "succeeded": "✓", "failed": "✗", "interrupted": "✗"}
_STYLE = {"running": "yellow", "succeeded": "green", "failed": "red", "interrupted": "red"}


class View(Protocol):
    """Shows the steps as they are now; called again and again."""

    def show(self, steps: Sequence[Step]) -> None:
        """Show these records."""

    def close(self) -> None:
        """Show no more."""


def view(components: Sequence[str], *, terminal: bool) -> View:
    """The view that fits; ``components`` are the steps to come, in order."""
    return Live(components) if terminal else Lines()


class Lines:
    """One line when a step starts and one when it ends."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def show(self, steps: Sequence[Step]) -> None:
        """Print what changed."""
        for step in steps:
            name, state = step["step"], step["state"]
            if self._shown.get(name) == state:
                continue
            self._shown[name] = state
            seconds = f" in {step['seconds']:.1f} s" if "seconds" in step else ""
            click.echo(f"{name} {state}{seconds}  {summary(step)}".rstrip())

    def close(self) -> None:
        """Nothing is left to do."""


class Live:
    """A table that is drawn anew in place."""

    def __init__(self, components: Sequence[str]) -> None:
        from rich.live import Live as RichLive

        self._components = list(components)
        self._live = RichLive(refresh_per_second=8, transient=False)
        self._live.start()

    def show(self, steps: Sequence[Step]) -> None:
        """Draw."""
        self._live.update(self._table(steps))

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _table(self, steps: Sequence[Step]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for step in steps:
            state = step["state"]
            sign = Text(f"{_SIGN[state]} {step['component']}", style=_STYLE[state])
            table.add_row(sign, f"{elapsed(step):6.1f} s", Text(summary(step), style="dim", overflow="ellipsis"))
        for name in self._components[len(steps) :]:
            table.add_row(Text(f"· {name}", style="dim"), "", "")
        return table


def elapsed(step: Step) -> float:
    """Seconds that a step has taken so far."""
    if "seconds" in step:
        return float(step["seconds"])
    return (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(step["started"])).total_seconds()


def summary(step: Step) -> str:
    """The step's headline, else the outputs that are short enough for a line; or the error."""
    if "error" in step:
        return str(step["error"]).splitlines()[0]
    if step.get("headline"):
        return str(step["headline"])
    shown = []
    for name, value in step.get("outputs", {}).items():
        if value in ("[]", "{}"):
            continue
        if isinstance(value, float):
            shown.append(f"{name}={value:.4g}")
        elif isinstance(value, bool) or (isinstance(value, str) and 0 < len(value) <= 40):
            shown.append(f"{name}={value}")
        elif isinstance(value, int):
            shown.append(f"{name}={value:,}")
    return " ".join(shown)
