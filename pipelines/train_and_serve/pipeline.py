"""train_and_serve: any table in, one model served."""

from typing import List

from kfp import dsl

from seaway.components.evaluate.component import evaluate
from seaway.components.featurize.component import featurize
from seaway.components.ingest.component import ingest
from seaway.components.promote.component import promote
from seaway.components.smoke_test.component import smoke_test
from seaway.components.train.component import train
from seaway.pipelines.common import on_cluster


@dsl.pipeline(
    name="train-and-serve",
    description="From a table to a model that serves: ingest, featurize, train, evaluate, promote, smoke test.",
)
def train_and_serve(
    data: str,
    target: str,
    name: str,
    task: str = "auto",
    exclude: List[str] = [],  # noqa: B006 - kfp copies defaults into the YAML
    contract: str = "",
    plan: str = "",
    split: str = "random",
    time_column: str = "",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    framework: str = "sklearn",
    estimator: str = "",
    params: dict = {},  # noqa: B006
    seed: int = 0,
    replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    gpus: int = 0,
    scaling: dict = {},  # noqa: B006
    api: str = "v1",
    framework_version: str = "",
    entrypoint: str = "",
    image: str = "",
    command: List[str] = [],  # noqa: B006
    measure_scaling: bool = False,
    deadline_s: int = 0,
    margin: float = 0.0,
    min_gain: float = 0.0,
    fail_if_not_promoted: bool = False,
    scheduled_time: str = "",
    namespace: str = "",
) -> bool:
    """From a table to a model that serves.

    Args:
        data: URI of CSV or Parquet, a file or a folder.
        target: The column to predict.
        name: Of the model and of its InferenceService.
        task: classification, regression, or auto.
        exclude: Columns to leave out, such as other targets.
        contract: URI of a contract that the rows must hold; empty infers one.
        plan: URI of a feature plan; empty infers one.
        split: random or time.
        time_column: For split=time.
        test_fraction: Of the rows, for the holdout.
        validation_fraction: Of the rows, for early stopping and the packaging gate.
        framework: Who trains: sklearn, xgboost, pytorch, jax, tensorflow or container; see the component train.
        estimator: Which of the framework's models.
        params: Its hyperparameters.
        seed: Of everything random.
        replicas: That train together.
        cpu: Of a training replica.
        memory: Of a training replica.
        gpus: Of a training replica.
        scaling: A policy that overrides these four; see the component train.
        api: v1, or v2 for a TrainJob.
        framework_version: Selects the training image; empty for the default one.
        entrypoint: Your own training, a module or the URI of a Python script; empty for the framework's worker.
        image: Another training image than the framework's.
        command: Of framework=container.
        measure_scaling: Whether to time one rank by itself before all train, for the report.
        deadline_s: Seconds after which the training fails; 0 for none.
        margin: How much worse than the served version is still promoted, in the primary metric's units.
        min_gain: By how much the model must beat the linear baseline.
        fail_if_not_promoted: Whether "not promoted" fails the run.
        scheduled_time: Of a recurring run, so that no cache answers for it.
        namespace: Of jobs and service; empty for the run's own.

    Returns:
        Output: Whether the model serves.
    """
    table = ingest(
        data=data,
        target=target,
        task=task,
        contract=contract,
        exclude=exclude,
        split=split,
        time_column=time_column,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
        scheduled_time=scheduled_time,
    )
    columns = featurize(
        train=table.outputs["train"],
        validation=table.outputs["validation"],
        contract=table.outputs["contract_out"],
        profile=table.outputs["profile_out"],
        plan=plan,
    )
    fitted = train(
        train_features=columns.outputs["train_features_uri"],
        validation_features=columns.outputs["validation_features_uri"],
        validation_rows=table.outputs["validation_uri"],
        features=columns.outputs["features_uri"],
        name=name,
        framework=framework,
        estimator=estimator,
        params=params,
        seed=seed,
        dataset_digest=table.outputs["dataset_digest"],
        replicas=replicas,
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        scaling=scaling,
        api=api,
        framework_version=framework_version,
        entrypoint=entrypoint,
        image=image,
        command=command,
        measure_scaling=measure_scaling,
        deadline_s=deadline_s,
        namespace=namespace,
    )
    judged = evaluate(
        model=fitted.outputs["model"],
        test=table.outputs["test"],
        train_features=columns.outputs["train_features"],
        features=columns.outputs["features"],
        service=name,
        namespace=namespace,
    )
    deployed = promote(
        model=fitted.outputs["model"],
        evaluation=judged.outputs["evaluation"],
        service=name,
        margin=margin,
        min_gain=min_gain,
        fail_if_not_promoted=fail_if_not_promoted,
        namespace=namespace,
    )
    with dsl.If(deployed.outputs["Output"] == True, "promoted"):  # noqa: E712 - kfp reads the comparison
        asked = smoke_test(
            service=name,
            model=fitted.outputs["model"],
            test=table.outputs["test"],
            namespace=namespace,
        )
    on_cluster(table, columns)
    on_cluster(fitted, judged, deployed, asked, cached=False)
    return deployed.outputs["Output"]
