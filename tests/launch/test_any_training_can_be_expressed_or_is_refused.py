"""For any framework, API and scaling policy there is a manifest that holds to its CRD, or every reason why not."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.launch.api import Object
from seaway.launch.frameworks import APIS, CONTAINER, FRAMEWORKS, framework_of, kind_for, lint, processes
from seaway.launch.identity import Identity
from seaway.launch.job import named
from seaway.launch.jobkinds import JOB, kind_of
from seaway.launch.order import Order, manifest
from seaway.launch.settings import Settings
from seaway.resources.scaling import BATCH_RULES, Scaling, scaling
from seaway.training.spec import TrainSpec

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "check.py"
OURS = sorted(set(FRAMEWORKS) - {CONTAINER})
OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u"}
IDENTITY = Identity(run_id="run-1", owner=OWNER)


@st.composite
def policies(draw: st.DrawFn) -> Scaling:
    low = draw(st.integers(1, 1000))
    replicas = draw(st.one_of(st.integers(1, 4), st.integers(low, 1000)))
    elastic = draw(st.booleans()) and draw(st.booleans())
    return Scaling(
        replicas=replicas,
        min_replicas=draw(st.integers(0, replicas)) if elastic else 0,
        max_replicas=draw(st.integers(replicas, 1000)) if elastic else 0,
        processes=draw(st.sampled_from([0, 0, 1, 2, 64])),
        cpu=draw(st.sampled_from(["", "1", "0.5", "500m"])),
        memory=draw(st.sampled_from(["", "4Gi", "512Mi", "1.5G"])),
        gpus=draw(st.sampled_from([0, 0, 1, 8])),
        batch_rule=draw(st.sampled_from(["", "", *BATCH_RULES])),
    )


ORDERS = st.builds(
    Order,
    scaling=policies(),
    api=st.sampled_from(APIS),
    framework_version=st.sampled_from(["", "2.13"]),
    image=st.sampled_from(["", "mine:1"]),
    retries=st.integers(0, 5),
    deadline_s=st.sampled_from([0, 1, 3600]),
)
SPECS = st.builds(
    lambda framework, name, entrypoint: TrainSpec(
        name=name, version="v", framework=framework, train="s3://b/t", validation="", validation_rows="s3://b/r",
        features="s3://b/f", contract="s3://b/c", output="s3://b/o", entrypoint=entrypoint,
    ),
    st.sampled_from(OURS),
    st.text(min_size=1, max_size=80),
    st.sampled_from(["", "mine.train", "s3://b/train.py"]),
)  # fmt: skip


def made(spec: TrainSpec, order: Order) -> Object:
    cluster = Settings(job_service_account="trainer")
    built = manifest(spec, run_id="run-1", settings=cluster, order=order, patch={})
    return named(built, prefix=f"train-{spec.name}", identity=IDENTITY)


def possible(spec: TrainSpec, order: Order) -> bool:
    return not lint(spec.framework, order.scaling, api=order.api)


@settings(deadline=None)
@given(SPECS, ORDERS)
def test_a_training_is_refused_in_words_or_its_kind_and_replicas_are_what_was_asked(
    spec: TrainSpec, order: Order
) -> None:
    reasons = lint(spec.framework, order.scaling, api=order.api)
    if reasons:
        with pytest.raises(InputError) as caught:
            made(spec, order)
        assert all(reason in str(caught.value) for reason in reasons)
        return
    job = made(spec, order)
    row = kind_of(job)
    assert row.kind[1] == kind_for(spec.framework, order.scaling, api=order.api)
    assert row.count(job) == order.scaling.replicas
    assert row.restarted_by_step == (row.kind != JOB)
    text = json.dumps(job)
    assert spec.entrypoint in text
    by_torchrun = order.scaling.elastic or processes(framework_of(spec.framework), order.scaling) > 1
    assert ('"command": ["torchrun", "-m"' in text) == by_torchrun
    assert ('"elasticPolicy"' in text) == order.scaling.elastic
    assert ('"restartPolicy": "ExitCode"' in text) == order.scaling.elastic
    # a finite job, whatever else
    assert "OnFailure" not in text
    assert ("activeDeadlineSeconds" in text) == bool(order.deadline_s)


@settings(deadline=None)
@given(SPECS, ORDERS)
def test_names_are_labels_with_what_the_controllers_append(spec: TrainSpec, order: Order) -> None:
    if not possible(spec, order):
        return
    job = made(spec, order)
    index = order.scaling.replicas - 1
    suffix = {"TrainJob": f"-node-0-{index}-abcde", "Job": "-abcde"}.get(job["kind"], f"-worker-{index}")
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", job["metadata"]["name"] + suffix)


@pytest.mark.skipif(not CRDS.exists(), reason="the CRD schemas are not here")
def test_every_manifest_holds_to_its_crd() -> None:
    import jsonschema

    loader = importlib.util.spec_from_file_location("crd_check", CRDS)
    assert loader is not None
    assert loader.loader is not None
    check: Any = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(check)
    schemas = {key: jsonschema.Draft202012Validator(found) for key, found in check.load_schemas().items()}
    seen = set()

    @settings(deadline=None, max_examples=150)
    @given(SPECS, ORDERS)
    def holds(spec: TrainSpec, order: Order) -> None:
        if not possible(spec, order):
            return
        job = json.loads(json.dumps(made(spec, order)))
        key = (job["apiVersion"], job["kind"])
        seen.add(job["kind"])
        errors = [e.message for e in schemas[key].iter_errors(job)] if key in schemas else check.builtin_errors(job)
        assert not errors

    holds()
    assert seen == {"Job", "PyTorchJob", "JAXJob", "TFJob", "TrainJob"}


@given(policies())
def test_a_policy_is_read_back_as_it_was_written_also_where_numbers_became_text_or_fractions(policy: Scaling) -> None:
    written = policy.to_dict()
    assert scaling(written) == policy
    assert scaling(json.dumps(written)) == policy
    assert scaling({k: float(v) if isinstance(v, int) else v for k, v in written.items()}) == policy
    assert scaling({k: str(v) for k, v in written.items()}) == policy


def test_a_policy_overrides_only_what_it_names() -> None:
    found = scaling({"replicas": 4, "cpu": 2}, replicas=1, cpu="1", memory="1Gi", gpus=0)
    assert (found.replicas, found.cpu, found.memory) == (4, "2", "1Gi")
    assert scaling("", replicas=3) == Scaling(replicas=3)


def test_one_process_a_gpu_where_a_process_takes_only_one() -> None:
    assert processes(FRAMEWORKS["pytorch"], Scaling(gpus=4)) == 4
    assert processes(FRAMEWORKS["pytorch"], Scaling(gpus=4, processes=2)) == 2
    assert processes(FRAMEWORKS["jax"], Scaling(gpus=4)) == 1
