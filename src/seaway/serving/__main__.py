"""``python -m seaway.serving --model NAME=URI --port PORT``: the model server.

Loads and warms every model, then opens its ports, so that an open port answers. Exits with 0 after SIGTERM, with 1 and
one line on stderr if a model or a port is not to be had.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from seaway.errors import SeawayError
from seaway.observe import logs

logger = logging.getLogger("seaway.serving")


def parser() -> argparse.ArgumentParser:
    """The command line; KServe's own spellings are taken as well, as its ServingRuntimes write them."""
    p = argparse.ArgumentParser(prog="python -m seaway.serving", description="Serve model packages over HTTP.")
    p.add_argument("--model", action="append", default=[], metavar="NAME=URI", help="a model package; may be repeated")
    p.add_argument("--model_name", "--model-name", help="KServe's: the name of the model in --model_dir")
    p.add_argument(
        "--model_dir", "--model-dir", help="KServe's: the folder of the model package; listens on all addresses"
    )
    p.add_argument("--host", help="address to listen on (127.0.0.1; with --model_dir 0.0.0.0)")
    p.add_argument("--port", "--http_port", "--http-port", type=int, action="append", metavar="PORT")
    p.add_argument("--threads", type=int, default=1, help="threads inside one operator of a graph (1)")
    p.add_argument("--max-body-mib", type=float, default=10.0, help="a larger request is refused (10)")
    p.add_argument("--max-rows", type=int, default=10_000, help="a request of more rows is refused (10,000)")
    p.add_argument(
        "--log-requests", type=float, default=0.0, metavar="FRACTION", help="of the requests that are logged (0)"
    )
    p.add_argument("--grace-s", type=float, default=20.0, help="seconds for requests in flight after SIGTERM (20)")
    p.add_argument("--lame-duck-s", type=float, default=0.0, help="seconds of new connections after SIGTERM (0)")
    return p


def wanted_models(args: argparse.Namespace) -> list[tuple[str, str]]:
    """(name, URI) of every model; an empty name stands for the package's own."""
    models = []
    for text in args.model:
        name, equals, uri = text.partition("=")
        models.append((name, uri) if equals and "/" not in name else ("", text))
    if args.model_dir:
        models.append((args.model_name or "", args.model_dir))
    return models


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; the exit code."""
    p = parser()
    args = p.parse_args(argv)
    models = wanted_models(args)
    if not models:
        p.error("at least one --model NAME=URI (or --model_dir) must be given")
    logs.setup(component="serving")
    try:
        _serve(args, models)
    except SeawayError as e:
        sys.stderr.write(f"seaway.serving: {' '.join(str(e).split())}\n")
        return 1
    return 0


def _serve(args: argparse.Namespace, wanted: list[tuple[str, str]]) -> None:
    from seaway.errors import InputError
    from seaway.serving.access import AccessLog
    from seaway.serving.app import App
    from seaway.serving.listeners import listen
    from seaway.serving.served import ServedModel
    from seaway.serving.server import Server, serve

    models = [ServedModel.open(uri, name=name, threads=args.threads) for name, uri in wanted]
    names = [m.name for m in models]
    if len(set(names)) != len(names):
        raise InputError(f"served models must have distinct names, found {names}: name them with --model NAME=URI")
    host = args.host or ("0.0.0.0" if args.model_dir else "127.0.0.1")  # noqa: S104 - as KServe's servers, in a container
    sockets = listen(host, args.port or [8080])
    debug = logger.isEnabledFor(logging.DEBUG)
    access = AccessLog(1.0 if debug else args.log_requests, level=logging.DEBUG if debug else logging.INFO)
    app = App(models, max_body_bytes=int(args.max_body_mib * 2**20), max_rows=args.max_rows, access=access)
    serve(Server(app, access, grace_s=args.grace_s, lame_duck_s=args.lame_duck_s), sockets)


if __name__ == "__main__":
    sys.exit(main())
