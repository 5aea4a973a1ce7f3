"""deploy_graph: several served models behind one endpoint, as an InferenceGraph."""

from kfp import dsl
from kfp.dsl import Markdown, Output

from seaway.resources.images import image


@dsl.component(base_image=image("sklearn"), install_kfp_package=False)
def deploy_graph(
    name: str,
    graph: dict,
    summary: Output[Markdown],
    sample: str = "",
    min_replicas: int = 1,
    max_replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    timeout_s: int = 600,
    namespace: str = "",
    patch: dict = {},  # noqa: B006 - kfp copies defaults into the YAML
    dry_run: bool = False,
) -> str:
    """Chain or split served models in an InferenceGraph, and hold its answers against the models' own.

    Args:
        name: Of the InferenceGraph.
        graph: {"chain": [{"service": NAME, "answers": {KEY: MODEL'S ANSWER}, "when": "KEY >= 0.3"}, ...]}, where every
            row's answer has all keys, null where a model was not asked; {"split": [{"service": NAME, "weight": PER
            CENT}, ...]}; or {"nodes": {...}} as the InferenceGraph's spec has them.
        sample: URI of raw rows, CSV or Parquet, that a chain or a split is asked about before the step succeeds; empty
            for none.
        min_replicas: Of the graph's router.
        max_replicas: Of the graph's router.
        cpu: Of a router's replica, for instance 500m.
        memory: Of a router's replica, for instance 256Mi.
        timeout_s: For services that are not ready, and for the graph, to get ready; then what was before is put back.
        namespace: Of the graph and its services; empty for the step's own.
        patch: Merged into the manifest (JSON Merge Patch).
        dry_run: Only log the manifest.

    Returns:
        summary: What is chained, how it was checked, and how to ask it.
        Output: The graph's URL.
    """
    arguments = dict(locals())
    from seaway.launch.graph import deploy_graph as run
    from seaway.observe.step import task

    return task("deploy_graph", run, arguments).url
