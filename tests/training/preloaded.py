"""Runs training workers as forks of a process that has imported a framework already: importing takes most of a test.

``python -m tests.training.preloaded MODULE`` reads a line of JSON for each group of ranks: their environments and where
their output goes. It answers with their exit codes.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """How one rank ended."""

    code: int
    """Exit code, or the negative number of a signal."""
    out: str
    err: str


@dataclass
class Preloaded:
    """Ranks of one framework; each group ends before the next begins."""

    process: subprocess.Popen[str]
    folder: Path
    groups: int = 0

    def run(self, environments: Sequence[Mapping[str, str]]) -> list[Run]:
        """Run ranks at the same time until all have ended."""
        self.groups += 1
        stems = [self.folder / f"group-{self.groups}-rank-{i}" for i in range(len(environments))]
        ranks = [{"env": dict(env), "stem": str(stem)} for env, stem in zip(environments, stems, strict=True)]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(ranks) + "\n")
        self.process.stdin.flush()
        codes = json.loads(self.process.stdout.readline())
        texts = [(Path(f"{stem}.out").read_text(), Path(f"{stem}.err").read_text()) for stem in stems]
        return [Run(code=code, out=out, err=err) for code, (out, err) in zip(codes, texts, strict=True)]


@contextmanager
def preloaded(folder: Path, *modules: str) -> Iterator[Preloaded]:
    """A process that has imported modules, for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
    env = known | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.training.preloaded", *modules]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Preloaded(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


def _serve() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        pids = [_forked(rank) for rank in json.loads(line)]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(json.dumps(statuses) + "\n")
        sys.stdout.flush()


def _forked(rank: Mapping[str, object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for number, suffix in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{rank['stem']}.{suffix}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
        os.environ.update(rank["env"])  # type: ignore[call-overload]
        from seaway.training.own import entrypoint

        code = entrypoint.main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
