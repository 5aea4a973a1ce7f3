"""Times as people read them."""

from __future__ import annotations

from seaway.observe.charts import ticks

_STEPS = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]


def duration(seconds: float) -> str:
    """A time span for people, in few characters."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.{0 if seconds >= 0.0995 else 1}f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def marks(seconds: float, count: int) -> list[tuple[float, str]]:
    """About ``count`` round times from 0 to ``seconds``, each with how people write it."""
    step = next((s for s in _STEPS if s * count >= seconds), 0.0) if seconds > 1 else 0.0
    times = [k * step for k in range(int(seconds / step) + 1)] if step else ticks(0.0, seconds, count=count)
    return [(t, duration(t).replace(".0 ", " ").replace(" 00m", "").replace(" 00s", "") if t else "0") for t in times]
