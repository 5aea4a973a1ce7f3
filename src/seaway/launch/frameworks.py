"""The frameworks that train, and what each of their targets cannot do.

In: a framework's name, an API and a scaling policy. Out: the row of the table, or every reason in words why this target
cannot express it. A framework is one row of `FRAMEWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seaway.errors import InputError, near
from seaway.resources.scaling import Scaling

APIS = ("v1", "v2")
"""v1: Kubernetes' Job and the training operator's kinds; v2: the trainer's TrainJob."""


@dataclass(frozen=True, kw_only=True)
class Framework:
    """How one framework trains."""

    image: str
    """Name of the image below images/."""
    module: str
    """Run as ``python -m module`` in every replica."""
    kind: str
    """Of the Kubernetes job, of one replica."""
    together: str = ""
    """Kind of the job of several replicas, which tells each its rank; empty where there can be only one."""
    runtime: str = ""
    """The ClusterTrainingRuntime of a TrainJob (v2); empty where the trainer has none for it."""
    torchrun: bool = False
    """Whether torchrun starts it where one process a replica is not enough, and where replicas come and go."""
    gpus: bool = False
    """Whether it computes on GPUs."""
    network: bool = False
    """Whether its batches follow a rule with more ranks."""


FRAMEWORKS: Mapping[str, Framework] = {
    "sklearn": Framework(image="sklearn", module="seaway.training.sklearn", kind="Job"),
    # xgboost's own protocol needs a rank and the address of the first only, which a PyTorchJob gives whatever it runs
    "xgboost": Framework(image="xgboost", module="seaway.training.xgboost", kind="Job", together="PyTorchJob"),
    "pytorch": Framework(
        image="torch",
        module="seaway.training.pytorch",
        kind="PyTorchJob",
        together="PyTorchJob",
        runtime="torch-distributed",
        torchrun=True,
        gpus=True,
        network=True,
    ),
    "jax": Framework(
        image="jax",
        module="seaway.training.jax",
        kind="JAXJob",
        together="JAXJob",
        runtime="jax-distributed",
        gpus=True,
        network=True,
    ),
    "tensorflow": Framework(
        image="tensorflow",
        module="seaway.training.tensorflow",
        kind="TFJob",
        together="TFJob",
        gpus=True,
        network=True,
    ),
    # a program in any language: `seaway.launch.container` makes its job
    "container": Framework(image="sklearn", module="seaway.training.own.package", kind="Job", gpus=True),
}
CONTAINER = "container"
"""The framework that is given an image and a command."""
ENTRYPOINT = "seaway.training.own.entrypoint"
"""Runs the user's own script or module in any framework's image."""


def framework_of(name: str) -> Framework:
    """The row of a framework.

    Raises:
        InputError: there is none of that name.
    """
    if name not in FRAMEWORKS:
        raise InputError(f"framework must be one of {sorted(FRAMEWORKS)}, found {name!r}{near(name, FRAMEWORKS)}")
    return FRAMEWORKS[name]


def kind_for(name: str, scaling: Scaling, *, api: str = "v1") -> str:
    """The kind of job that trains so.

    Raises:
        InputError: the target cannot express it; every reason is said.
    """
    framework = framework_of(name)
    if api not in APIS:
        raise InputError(f"api must be one of {list(APIS)}, found {api!r}{near(api, APIS)}")
    if found := lint(name, scaling, api=api):
        raise InputError("; ".join(found))
    if api == "v2":
        return "TrainJob"
    return framework.together if scaling.replicas > 1 or scaling.elastic else framework.kind


def processes(framework: Framework, scaling: Scaling) -> int:
    """How many processes each replica runs."""
    return scaling.processes or (max(1, scaling.gpus) if framework.torchrun else 1)


def lint(name: str, scaling: Scaling, *, api: str = "v1") -> list[str]:
    """What a target cannot express of a policy, in words: what must hold, what was found, what to do."""
    framework = framework_of(name)
    found = []
    if api == "v2" and not framework.runtime:
        found.append(
            f"a TrainJob (api 'v2') trains {_able(lambda f: bool(f.runtime))}, as the trainer has a runtime for these "
            f"alone, found framework {name!r}: use api 'v1'"
        )
    if api == "v2" and scaling.elastic:
        found.append(
            "a TrainJob (api 'v2') has a fixed number of nodes, found min_replicas or max_replicas: use api 'v1', or "
            "replicas alone"
        )
    if not framework.together and scaling.replicas > 1:
        found.append(
            f"framework {name!r} trains on one replica, found replicas={scaling.replicas}: use one of "
            f"{_able(lambda f: bool(f.together))}"
        )
    if not framework.torchrun and scaling.elastic:
        found.append(
            f"framework {name!r} trains with a fixed number of replicas, found min_replicas or max_replicas: only "
            f"{_able(lambda f: f.torchrun)} are elastic, use one of them or replicas alone"
        )
    if not framework.torchrun and scaling.processes > 1:
        how = "has all of a replica's devices in one process" if framework.gpus else "trains in one process a replica"
        found.append(f"framework {name!r} {how}, found processes={scaling.processes}: leave processes away")
    if not framework.gpus and scaling.gpus:
        found.append(
            f"framework {name!r} trains without GPUs, found gpus={scaling.gpus}: use one of {_able(lambda f: f.gpus)}"
        )
    if not framework.network and scaling.batch_rule:
        found.append(
            f"framework {name!r} has no batches, found batch_rule={scaling.batch_rule!r}: leave it away, or use one of "
            f"{_able(lambda f: f.network)}"
        )
    return found


def _able(can: Callable[[Framework], bool]) -> list[str]:
    return [name for name, framework in FRAMEWORKS.items() if can(framework)]
