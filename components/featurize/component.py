"""featurize: fit a feature plan on the training rows and emit it as one ONNX graph."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from seaway.resources.images import image


@dsl.component(base_image=image("sklearn"), install_kfp_package=False)
def featurize(
    train: Input[Dataset],
    validation: Input[Dataset],
    contract: Input[Artifact],
    profile: Input[Artifact],
    features: Output[Artifact],
    train_features: Output[Dataset],
    validation_features: Output[Dataset],
    report: Output[HTML],
    metrics: Output[Metrics],
    plan: str = "",
) -> NamedTuple("Outputs", features_uri=str, train_features_uri=str, validation_features_uri=str):
    """Fit a feature plan on the training rows; the training features come out of the very graph that serves.

    Args:
        train: Training rows of ingest.
        validation: Validation rows of ingest.
        contract: Contract of ingest.
        profile: Profile of ingest.
        plan: URI of a feature plan (JSON or YAML); empty infers one from the contract and the profile.

    Returns:
        features: Folder with features.onnx, plan.json, statistics.json, contract.json.
        train_features: Parquet of float32 features and the target.
        validation_features: The same of the validation rows.
        report: The features and their statistics.
        metrics: Counts of rows and features.
        features_uri: URI of the folder, for launchers.
        train_features_uri: URI of the training features.
        validation_features_uri: URI of the validation features.
    """
    arguments = dict(locals())
    from seaway.features.step import featurize as run
    from seaway.observe.step import task

    task("featurize", run, arguments)
    return (features.uri, train_features.uri, validation_features.uri)
