"""``python -m seaway.serving.router --graph-json JSON --port PORT``: the router of an InferenceGraph.

Takes the spec of an InferenceGraph as KServe's router does, with the URL of every service in it. Exits with 0 after
SIGTERM, with 1 and one line on stderr if the graph cannot be run or a port is not to be had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from seaway.errors import InputError, SeawayError
from seaway.observe import logs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m seaway.serving.router", description="Route requests through a graph.")
    p.add_argument("--graph-json", required=True, help="spec of the InferenceGraph as JSON")
    p.add_argument("--graph", default="graph", help="its name, in logs and spans")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    p.add_argument("--port", type=int, action="append", metavar="PORT", help="may be repeated (8080)")
    p.add_argument("--max-body-mib", type=float, default=64.0, help="a larger request or answer is refused (64)")
    p.add_argument(
        "--log-requests", type=float, default=0.0, metavar="FRACTION", help="of requests that are logged (0)"
    )
    p.add_argument("--grace-s", type=float, default=20.0, help="seconds for requests in flight after SIGTERM (20)")
    p.add_argument("--lame-duck-s", type=float, default=0.0, help="seconds of new connections after SIGTERM (0)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Route until a signal ends it; the exit code."""
    args = parser().parse_args(argv)
    logs.setup(component="router")
    try:
        _route(args)
    except SeawayError as e:
        sys.stderr.write(f"seaway.serving.router: {' '.join(str(e).split())}\n")
        return 1
    return 0


def _route(args: argparse.Namespace) -> None:
    from seaway.graphs.lint import errors, lint
    from seaway.serving.access import AccessLog
    from seaway.serving.listeners import listen
    from seaway.serving.router.headers import VARIABLE, Propagation
    from seaway.serving.router.nodes import NODES, Plan
    from seaway.serving.router.router import Router
    from seaway.serving.router.server import Server
    from seaway.serving.router.upstream import Upstreams

    try:
        spec = json.loads(args.graph_json)
    except (ValueError, RecursionError) as e:
        raise InputError(f"--graph-json must be JSON: {e}") from e
    if wrong := errors(lint(spec, router_types=tuple(NODES), resolved=True)):
        raise InputError("; ".join(wrong))
    plan = Plan.of(spec)
    limit = int(args.max_body_mib * 2**20)
    upstreams = Upstreams(timeout_s=float(max(0, plan.graph.timeouts.service_client)), max_body_bytes=limit)
    access = AccessLog(args.log_requests)
    router = Router(
        plan,
        upstreams.ask,
        name=args.graph,
        propagation=Propagation(os.environ.get(VARIABLE)),
        access=access,
        max_body_bytes=limit,
    )
    sockets = listen(args.host, args.port or [8080])
    Server(router, upstreams, access, grace_s=args.grace_s, lame_duck_s=args.lame_duck_s).run(sockets)


if __name__ == "__main__":
    sys.exit(main())
