"""train: one model by a Kubernetes job; the framework is a run-time parameter."""

from kfp import dsl
from kfp.dsl import Metrics, Model, Output

from seaway.resources.images import image


@dsl.component(base_image=image("launcher"), install_kfp_package=False)
def train(
    train_features: str,
    validation_features: str,
    validation_rows: str,
    features: str,
    name: str,
    model: Output[Model],
    metrics: Output[Metrics],
    framework: str = "sklearn",
    estimator: str = "",
    params: dict = {},  # noqa: B006 - kfp copies defaults into the YAML
    seed: int = 0,
    dataset_digest: str = "",
    replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    gpus: int = 0,
    framework_version: str = "",
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
        framework: sklearn (batch/v1 Job) or pytorch (PyTorchJob).
        estimator: One of the framework's models: for sklearn hist_gradient_boosting, logistic, ridge or random_forest,
            for pytorch mlp or linear.
        params: Hyperparameters of the estimator.
        seed: Of everything random.
        dataset_digest: From ingest, for the model's provenance.
        replicas: That train together; more than one by pytorch only.
        cpu: Of a replica, for instance 2 or 500m.
        memory: Of a replica, for instance 4Gi.
        gpus: Of a replica.
        framework_version: Selects an image with that version of the framework; empty for the default one.
        retries: How often the job survives the loss of a replica.
        deadline_s: Seconds after which the job fails; 0 for none.
        namespace: Of the job; empty for the step's own.
        patch: Merged into the job's manifest (JSON Merge Patch).
        dry_run: Only log the manifest.

    Returns:
        model: The model package: one ONNX graph from raw columns to answer, and model.json.
        metrics: On the validation rows.
        Output: The model's version.
    """
    arguments = dict(locals())
    from seaway.launch.train import train as run
    from seaway.observe.step import task

    result = task("train", run, arguments, by_uri=("model",))
    model.metadata.update(framework=framework, version=result.version, job=result.job)
    return result.version
