"""``python -m seaway.local [--port PORT]``: the laptop in the foreground."""

from __future__ import annotations

import argparse
import sys

from seaway.errors import LaptopError
from seaway.local.daemon import serve


def main() -> int:
    """Serve; 1 when the laptop cannot start."""
    parser = argparse.ArgumentParser(prog="python -m seaway.local", description="Serve the laptop's Kubernetes API.")
    parser.add_argument("--port", type=int, default=None, help="of 127.0.0.1; else SEAWAY_PORT, else 7443")
    try:
        serve(parser.parse_args().port)
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
