"""evaluate: a model package on the untouched holdout, beside baselines and the version now served."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from seaway.resources.images import image


@dsl.component(base_image=image("sklearn"), install_kfp_package=False)
def evaluate(
    model: Input[Model],
    test: Input[Dataset],
    train_features: Input[Dataset],
    features: Input[Artifact],
    evaluation: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    classification_metrics: Output[ClassificationMetrics],
    service: str = "",
    namespace: str = "",
):
    """Run the package's graph over the holdout and compare it with a trivial and a linear baseline.

    Args:
        model: The model package.
        test: Holdout of ingest.
        train_features: Training features, for the baselines.
        features: Folder of featurize.
        service: InferenceService whose served version is evaluated on the same rows; empty for none.
        namespace: Of that service; empty for the step's own.

    Returns:
        evaluation: All figures, JSON; promote reads it.
        report: The evaluation report.
        metrics: Of the model and the baselines.
        classification_metrics: ROC curve and confusion matrix.
    """
    arguments = dict(locals())
    from seaway.launch.evaluate import evaluate as run
    from seaway.observe.step import task

    task("evaluate", run, arguments)
