"""train: one model by a Kubernetes job; the framework is a run-time parameter."""

from kfp import dsl
from kfp.dsl import HTML, Metrics, Model, Output

from seaway.resources.images import image as image_of


@dsl.component(base_image=image_of("launcher"), install_kfp_package=False)
def train(
    train_features: str,
    validation_features: str,
    validation_rows: str,
    features: str,
    name: str,
    model: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
    framework: str = "sklearn",
    estimator: str = "",
    params: dict = {},  # noqa: B006 - kfp copies defaults into the YAML
    seed: int = 0,
    dataset_digest: str = "",
    replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    gpus: int = 0,
    scaling: dict = {},  # noqa: B006
    api: str = "v1",
    framework_version: str = "",
    entrypoint: str = "",
    image: str = "",
    command: list = [],  # noqa: B006
    measure_scaling: bool = False,
    retries: int = 1,
    deadline_s: int = 0,
    namespace: str = "",
    patch: dict = {},  # noqa: B006
    dry_run: bool = False,
) -> str:
    """Train a model by a job whose manifest runs on a cluster and on a laptop alike; ends in a model package.

    Args:
        train_features: URI of the training features.
        validation_features: URI of the validation features.
        validation_rows: URI of the validation rows as raw columns, for the packaging gate.
        features: URI of the folder that featurize wrote.
        name: The model's name.
        framework: sklearn or xgboost (batch/v1 Job), pytorch (PyTorchJob; also for xgboost on several replicas), jax
            (JAXJob), tensorflow (TFJob), or container: a program of your own in any language, with image and command.
        estimator: One of the framework's models: for sklearn hist_gradient_boosting, logistic, ridge or random_forest,
            for pytorch, jax and tensorflow mlp or linear, for xgboost gbtree.
        params: Hyperparameters of the estimator.
        seed: Of everything random.
        dataset_digest: From ingest, for the model's provenance.
        replicas: That train together; by sklearn only one.
        cpu: Of a replica, for instance 2 or 500m.
        memory: Of a replica, for instance 4Gi.
        gpus: Of a replica.
        scaling: A policy that overrides these four, with the keys replicas, min_replicas and max_replicas (elastic),
            processes (of a replica), cpu, memory, gpus and batch_rule (fixed, linear or sqrt).
        api: v1 for those kinds, or v2 for a TrainJob, by pytorch and jax.
        framework_version: Selects an image with that version of the framework; empty for the default one.
        entrypoint: Your own training, a module or the URI of a Python script; empty for the framework's worker.
        image: Another image than the framework's.
        command: Of framework=container.
        measure_scaling: Whether to time one rank by itself before all train, for the report.
        retries: How often the job survives the loss of a replica.
        deadline_s: Seconds after which the job fails; 0 for none.
        namespace: Of the job; empty for the step's own.
        patch: Merged into the job's manifest (JSON Merge Patch).
        dry_run: Only log the manifest.

    Returns:
        model: The model package: one ONNX graph from raw columns to answer, and model.json.
        metrics: On the validation rows, and how busy and how even the replicas were.
        report: How busy and how even the replicas were, what to do about it, and what to request for the next run.
        Output: The model's version.
    """
    arguments = dict(locals())
    from seaway.launch.train import train as run
    from seaway.observe.step import task

    result = task("train", run, arguments, by_uri=("model",))
    model.metadata.update(framework=framework, version=result.version, job=result.job)
    return result.version
