"""What JAX is told by environment variables, which it reads once, when it is loaded.

In: who else is on this machine. Out: threads for this process's share of the cores. What the user has set stays.
"""

from __future__ import annotations

import logging
import os

from seaway.training.cores import cores

_LINKED = ("--xla_gpu_shard_autotuning=false",)
"""Where processes form a group: they would share out what they compile through a service that is left by then."""
_ONE_CORE = ("--xla_cpu_multi_thread_eigen=false",)


def set_before_jax_loads(*, neighbours: int = 1, grouped: bool = False) -> None:
    """Set the variables; call it before anything imports jax.

    Args:
        neighbours: ranks on this machine.
        grouped: whether processes form a group.
    """
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells of each chip that is not there
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    share = int(wanted) if wanted.isdecimal() and int(wanted) else cores(neighbours=neighbours)
    os.environ.setdefault("NPROC", str(share))  # threads of XLA's pool
    given = os.environ.get("XLA_FLAGS", "").split()
    known = {flag.partition("=")[0] for flag in given}
    ours = (_LINKED if grouped else ()) + (_ONE_CORE if share == 1 else ())
    os.environ["XLA_FLAGS"] = " ".join([*given, *(flag for flag in ours if flag.partition("=")[0] not in known)])
