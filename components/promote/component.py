"""promote: serve the model if it beats the baseline and is not worse than what serves now."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Model, Output

from seaway.resources.images import image


@dsl.component(base_image=image("launcher"), install_kfp_package=False)
def promote(
    model: Input[Model],
    evaluation: Input[Artifact],
    summary: Output[Markdown],
    service: str = "",
    metric: str = "",
    margin: float = 0.0,
    min_gain: float = 0.0,
    baseline: str = "linear",
    fail_if_not_promoted: bool = False,
    min_replicas: int = 1,
    max_replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    timeout_s: int = 600,
    namespace: str = "",
    patch: dict = {},  # noqa: B006 - kfp copies defaults into the YAML
    dry_run: bool = False,
) -> bool:
    """Ask the promotion gate; if it says yes, apply the InferenceService and wait until the new version is ready.

    Args:
        model: The model package.
        evaluation: Of evaluate.
        service: Name of the InferenceService; empty for the model's name.
        metric: What the gate compares; empty for the task's primary metric.
        margin: How much worse than the served version is still accepted, in the metric's units.
        min_gain: By how much the model must beat the baseline.
        baseline: linear or trivial.
        fail_if_not_promoted: Whether "not promoted" fails the step.
        min_replicas: Of the service.
        max_replicas: Of the service.
        cpu: Of a replica, for instance 1.
        memory: Of a replica, for instance 1Gi.
        timeout_s: For the service to get ready; then what served before is put back.
        namespace: Of the service; empty for the step's own.
        patch: Merged into the manifest (JSON Merge Patch).
        dry_run: Only log the manifest.

    Returns:
        summary: The decision and its reasons.
        Output: Whether the model serves; a single unnamed output, which conditions can read everywhere.
    """
    arguments = dict(locals())
    from seaway.launch.promote import promote as run
    from seaway.observe.step import task

    return task("promote", run, arguments, by_uri=("model",)).promoted
