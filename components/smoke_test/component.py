"""smoke_test: the live endpoint must answer as the package does."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model

from seaway.resources.images import image


@dsl.component(base_image=image("sklearn"), install_kfp_package=False)
def smoke_test(
    service: str,
    model: Input[Model],
    test: Input[Dataset],
    url: str = "",
    rows: int = 20,
    tolerance: float = 1e-4,
    timeout_s: int = 60,
    namespace: str = "",
) -> float:
    """Ask the live endpoint with holdout rows and compare with the package's own answers.

    Args:
        service: Name of the InferenceService.
        model: The model package.
        test: Holdout of ingest.
        url: Of the service; empty to ask the API for it.
        rows: How many are asked, in one request and one by one.
        tolerance: Largest difference of a probability, or of a value relative to its size.
        timeout_s: How long the endpoint may take to be reachable.
        namespace: Of the service; empty for the step's own.

    Returns:
        Output: Median latency of a one-row request, in milliseconds.
    """
    arguments = dict(locals())
    from seaway.launch.smoke import smoke_test as run
    from seaway.observe.step import task

    return task("smoke_test", run, arguments).latency_ms
