"""The worker for a user's own Python: runs a module or a script as the main program, and says how it ended.

In: TrainSpec in the environment; its ``entrypoint`` is a module of the image, or the path or URI of a ``.py`` file.
Out: the model package that the program saved through `seaway.training.context`, and an exit code by which whoever
started it tells whether a retry can help: 0, 65 for what no retry mends, 138 for a lost peer, 143 after SIGTERM, what
the program itself gave to sys.exit, else 1.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from seaway.errors import InputError, PackageError, PeerLostError, SeawayError
from seaway.model import package
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training import signals
from seaway.training.own import script
from seaway.training.own.lost import lost_peer
from seaway.training.place import Place
from seaway.training.spec import TrainSpec
from seaway.training.worker import EXIT_CODES
from seaway.training.world import world

_OWN = (__file__, runpy.__file__)
_logger = logging.getLogger(__name__)


def main() -> int:
    """Run the program; its exit code. Where it is not 0, the last line on stderr is ``error: ...``."""
    signals.leave_on_sigterm()
    logs.setup(step="train", component="train")
    try:
        spec = TrainSpec.from_env()
        place = world(os.environ).place
        with signals.heard_in_native_code(), _program(spec.entrypoint) as path:
            logs.info(_logger, "the program begins", entrypoint=spec.entrypoint, rank=place.rank)
            code = _ended(spec.entrypoint, path, place)
            if code == 0 and place.leads:
                _check_saved(spec)
    except SeawayError as e:
        return _refused(e)
    finally:
        if found := script.current():
            found.close()
    _leave_the_group()
    return code


def _ended(name: str, path: Path | None, place: Place) -> int:
    """Run it as ``__main__``; its exit code."""
    try:
        if path is None:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            sys.argv[0] = str(path)
            sys.path[0] = str(path.parent)
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as e:
        return _code(e)
    except KeyboardInterrupt:
        return _say("it was interrupted", 130)
    except SeawayError:
        raise
    except BaseException as e:
        if place.world_size > 1 and (words := lost_peer(e)):
            raise PeerLostError(
                f"rank {place.rank} of {place.world_size} cannot go on: {words}: the log of that replica says why; all "
                "ranks must start anew, from the last checkpoint if the program wrote one"
            ) from e
        shown = _of_the_program(e.__traceback__)
        sys.stdout.flush()
        traceback.print_exception(type(e), e, shown, limit=-12)
        return _say(f"{name} failed{_where(shown)}: {_short(e)}", 1)
    return 0


def _code(e: SystemExit) -> int:
    if e.code is None:
        return 0
    if isinstance(e.code, int):
        code = e.code & 0xFF
        if code and code != 143:
            _say(f"the program ended itself with exit code {code}", code)
        return code
    return _say(str(e.code), 1)


def _check_saved(spec: TrainSpec) -> None:
    """A program that ends well must have handed a model over, here or in a process that it started."""
    found = script.current()
    if found is not None and found.saved:
        return
    try:
        if package.read_info(spec.output).get("version") == spec.version:
            return
    except PackageError:
        pass
    raise PackageError(
        f"{spec.entrypoint} must save a model before it ends, it ended with exit code 0 without one: call "
        "seaway.training.context().save(model, predict=...) on rank 0"
    )


@contextmanager
def _program(entrypoint: str) -> Iterator[Path | None]:
    """The script's local path; None for a module.

    Raises:
        InputError: there is no such script or module, or it is no Python.
    """
    if not entrypoint:
        raise InputError("a TrainSpec for a user's own training must have an entrypoint, found none: name a module or "
                         "the URI of a Python script")  # fmt: skip
    if entrypoint.endswith(".py") or "://" in entrypoint or "/" in entrypoint:
        if storage.is_local(entrypoint) and not storage.local_path(entrypoint).is_absolute():
            raise InputError(
                f"entrypoint must be a whole path or a URI, found {entrypoint!r}: a replica has a working folder of "
                "its own"
            )
        with storage.localized(entrypoint) as path:
            if path.is_dir():
                raise InputError(f"entrypoint must be a Python script, found the folder {entrypoint}: name the file")
            try:
                compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as e:
                raise InputError(f"entrypoint must be a Python script that can be read: {e}") from None
            yield path
        return
    try:
        found = importlib.util.find_spec(entrypoint)
    except (ImportError, ValueError, AttributeError) as e:
        found, why = None, f" ({e})"
    else:
        why = ""
    if found is None:
        raise InputError(
            f"entrypoint must be a module that the image has, or the path or URI of a .py file, found no module "
            f"{entrypoint!r}{why}: build an image with it, or give a URI"
        )
    yield None


def _of_the_program(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from where the program begins."""
    shown = trace
    while shown is not None:
        name = shown.tb_frame.f_code.co_filename
        if name not in _OWN and "runpy" not in name:
            return shown
        shown = shown.tb_next
    return None


def _where(trace: TracebackType | None) -> str:
    return f" at line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}" if trace else ""


def _short(e: BaseException) -> str:
    if isinstance(e, MemoryError):
        return f"MemoryError: it asked for more memory than there is ({e}): read fewer rows at a time" if str(e) else (
            "MemoryError: it asked for more memory than there is: read fewer rows at a time"
        )  # fmt: skip
    if isinstance(e, ModuleNotFoundError):
        return f"{type(e).__name__}: {e}: the image must hold it, name one that does with image"
    lines = str(e).splitlines()
    return f"{type(e).__name__}: {lines[0][:500]}" if lines else type(e).__name__


def _refused(e: SeawayError) -> int:
    return _say(str(e), next(code for kind, code in EXIT_CODES if isinstance(e, kind)))


def _say(text: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"error: {text}\n")
    sys.stderr.flush()
    return code


def _leave_the_group() -> None:
    """End torch's process group, of which it warns otherwise."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    raise SystemExit(main())
