"""What a step costs over its work: ``python benchmarks/steps.py``.

Side by side in one run, seconds a step: a bare process (the floor), a bare kfp.local component (the peer), a component
observed by Seaway, and one that launches a Job of ``true`` and waits for it; also what `import seaway` costs.
"""

import contextlib
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from kfp import components, dsl, local
from kfp.compiler import Compiler

from seaway.local import daemon

ROUNDS = 5


@dsl.component(base_image="seaway-bench-python:0", install_kfp_package=False)
def bare() -> int:
    return 1


@dsl.component(base_image="seaway-bench-python:0", install_kfp_package=False)
def observed() -> int:
    from seaway.observe.step import task

    return task("observed", lambda: 1, {})


@dsl.component(base_image="seaway-bench-python:0", install_kfp_package=False)
def launched(nonce: str) -> int:
    from seaway.launch.api import Api
    from seaway.launch.identity import identify
    from seaway.launch.job import named, run_job
    from seaway.observe.step import task
    from seaway.resources.job import job
    from seaway.resources.pod import Replica

    def work() -> int:
        api = Api.connect()
        identity = identify(api)
        manifest = job(name="", replica=Replica(image="busybox", command=["true"], labels={"nonce": nonce}))
        run_job(api, named(manifest, prefix="bench", identity=identity), identity=identity)
        return 1

    return task("launched", work, {})


def seconds(call) -> float:
    before = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # kfp prints every step's log
        call()
    return time.perf_counter() - before


def python(code: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def pipeline(folder: Path, component, **arguments):
    @dsl.pipeline(name=f"bench-{component.name}")
    def one():
        component(**arguments)

    path = folder / f"{component.name}.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Compiler().compile(one, str(path))
    return components.load_component_from_file(str(path))


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="seaway-bench-"))
    os.environ |= {"SEAWAY_HOME": str(folder / "home"), "SEAWAY_PORT": "0"}
    os.environ |= {"SEAWAY_RUN_ID": "bench", "SEAWAY_RUN_DIR": str(folder), "SEAWAY_LOG_FORMAT": "json"}
    port = 20_000 + os.getpid() % 10_000
    os.environ["KUBECONFIG"] = str(daemon.start(port).kubeconfig)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"))
    logging.disable(logging.INFO)
    found: dict[str, list[float]] = {}
    try:
        for number in range(ROUNDS + 1):
            cases = {
                "bare process (python -c pass)": lambda: python("pass"),
                "import seaway, over python -c pass": lambda: python("import seaway"),
                "kfp.local component": pipeline(folder, bare),
                "observed by Seaway": pipeline(folder, observed),
                "launches a Job of `true`": pipeline(folder, launched, nonce=str(number)),
            }
            for name, call in cases.items():
                took = seconds(call)
                if number:  # the first round warms the page cache
                    found.setdefault(name, []).append(took)
    finally:
        daemon.stop()
    medians = {name: statistics.median(times) for name, times in found.items()}
    process = medians["bare process (python -c pass)"]
    medians["import seaway, over python -c pass"] -= process
    for name, median in medians.items():
        spread = f"{min(found[name]):.3f} .. {max(found[name]):.3f}"
        sys.stdout.write(f"{name:<38} {median:7.3f} s   ({spread})\n")
    plain = medians["kfp.local component"]
    for name in ("observed by Seaway", "launches a Job of `true`"):
        sys.stdout.write(f"{name:<38} {medians[name] / plain:7.2f} x kfp.local component\n")


if __name__ == "__main__":
    main()
