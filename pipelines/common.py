"""What every task of our pipelines is given on a cluster; the laptop's runner ignores it."""

import os

from kfp import dsl, kubernetes

from seaway.launch.settings import CONFIG_KEYS, CONFIG_MAP, SECRET_KEYS, STORAGE_SECRET


def on_cluster(*tasks: dsl.PipelineTask, cached: bool = True) -> None:
    """Hand each task the run's id, the cluster's settings and the object store's keys; no cache for side effects.

    The id comes from the pod's label, not from a parameter: a parameter that differs in every run would defeat the
    cache. ConfigMap and Secret are optional: a pod starts without them. A Secret of another name must be known when the
    pipeline is compiled (SEAWAY_STORAGE_SECRET).
    """
    secret = os.environ.get("SEAWAY_STORAGE_SECRET") or STORAGE_SECRET
    for task in tasks:
        kubernetes.use_field_path_as_env(task, env_name="SEAWAY_RUN_ID", field_path="metadata.labels['pipeline/runid']")
        kubernetes.use_config_map_as_env(task, CONFIG_MAP, {key: key for key in CONFIG_KEYS}, optional=True)
        kubernetes.use_secret_as_env(task, secret, SECRET_KEYS, optional=True)
        if not cached:
            task.set_caching_options(False)
