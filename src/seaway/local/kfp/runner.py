"""Run a compiled pipeline with kfp.local: ``python -m seaway.local.kfp.runner RUN_FOLDER``, in a process group of
its own.

In: run.json with the YAML's path and the parameters. Out: the exit status; the steps write their own records. When
standard input closes, whoever started this process is gone, and the whole group ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path


def main(folder: Path) -> int:
    """Run the pipeline of a run's folder to its end; 0 if every step succeeded."""
    threading.Thread(target=_end_with_parent, args=(folder.name,), daemon=True).start()
    state = json.loads((folder / "run.json").read_text())
    # kfp warns of images and settings that mean nothing here
    warnings.filterwarnings("ignore", module="kfp")
    from kfp import components, local

    from seaway.local.kfp import recorded

    recorded.install()
    # without a venv of its own a step starts in 0.3 s instead of 20
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        raise_on_error=True,
    )
    pipeline = components.load_component_from_file(state["source"])
    try:
        pipeline(**state["params"])
    except RuntimeError as e:  # kfp says only which task failed; its log has the reason
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


def _end_with_parent(run: str) -> None:
    while os.read(0, 1):
        pass
    subprocess.Popen(
        [sys.executable, "-m", "seaway", "cancel", run],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.killpg(os.getpgid(0), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
