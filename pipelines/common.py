"""What every task of our pipelines is given on a cluster; the laptop's runner ignores it."""

from kfp import dsl, kubernetes


def on_cluster(*tasks: dsl.PipelineTask, cached: bool = True) -> None:
    """Hand each task the run's id, and switch the cache off for those with side effects.

    The id comes from the pod's label, not from a parameter: a parameter that differs in every run would defeat the
    cache.
    """
    for task in tasks:
        kubernetes.use_field_path_as_env(task, env_name="SEAWAY_RUN_ID", field_path="metadata.labels['pipeline/runid']")
        if not cached:
            task.set_caching_options(False)
