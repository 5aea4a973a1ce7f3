"""chained_delay: two models of two frameworks behind one graph; how much is asked only where it is likely."""

from kfp import dsl

from seaway.components.deploy_graph.component import deploy_graph
from seaway.pipelines.common import on_cluster
from seaway.pipelines.train_and_serve.pipeline import train_and_serve


@dsl.pipeline(
    name="chained-delay",
    description="A classifier by PyTorchJob and a regressor by scikit-learn, both gated, chained in an InferenceGraph.",
)
def chained_delay(
    data: str,
    name: str = "flight-delay",
    classifier: str = "flights-late",
    classifier_target: str = "late",
    classifier_exclude: list = ["delay_minutes"],  # noqa: B006 - kfp copies defaults into the YAML
    classifier_framework: str = "pytorch",
    classifier_params: dict = {},  # noqa: B006
    replicas: int = 2,
    gpus: int = 0,
    regressor: str = "flights-delay",
    regressor_target: str = "delay_minutes",
    regressor_exclude: list = ["late"],  # noqa: B006
    regressor_framework: str = "sklearn",
    regressor_params: dict = {},  # noqa: B006
    graph: dict = {  # noqa: B006
        "chain": [
            {"service": "flights-late", "answers": {"late": "label", "probability": "probability"}},
            {"service": "flights-delay", "answers": {"minutes": "value"}, "when": "probability >= 0.3"},
        ]
    },
    split: str = "random",
    time_column: str = "",
    seed: int = 0,
    cpu: str = "",
    memory: str = "",
    deadline_s: int = 0,
    margin: float = 0.0,
    min_gain: float = 0.0,
    scheduled_time: str = "",
    namespace: str = "",
):
    """Two models of two frameworks behind one graph.

    Both are trained, evaluated and promoted by the pipeline train_and_serve, side by side. The graph is deployed when
    both serve; its answer has the same keys for every row, null where a model was not asked.

    Args:
        data: URI of CSV or Parquet, a file or a folder, with both targets.
        name: Of the InferenceGraph.
        classifier: Name of the first model and of its InferenceService.
        classifier_target: The column that the first model predicts.
        classifier_exclude: Columns to keep from the first model, such as the other target.
        classifier_framework: Who trains the first model; see the component train.
        classifier_params: Its hyperparameters.
        replicas: Of the first model's training.
        gpus: Of each of these replicas.
        regressor: Name of the second model and of its InferenceService.
        regressor_target: The column that the second model predicts.
        regressor_exclude: Columns to keep from the second model.
        regressor_framework: Who trains the second model.
        regressor_params: Its hyperparameters.
        graph: The chain, by the services' names; see the component deploy_graph.
        split: random or time.
        time_column: For split=time.
        seed: Of everything random.
        cpu: Of a training replica.
        memory: Of a training replica.
        deadline_s: Seconds after which a training fails; 0 for none.
        margin: How much worse than the served version is still promoted, in the primary metric's units.
        min_gain: By how much each model must beat the linear baseline.
        scheduled_time: Of a recurring run, so that no cache answers for it.
        namespace: Of jobs, services and graph; empty for the run's own.
    """
    first = train_and_serve(
        data=data,
        target=classifier_target,
        name=classifier,
        exclude=classifier_exclude,
        framework=classifier_framework,
        params=classifier_params,
        replicas=replicas,
        gpus=gpus,
        split=split,
        time_column=time_column,
        seed=seed,
        cpu=cpu,
        memory=memory,
        deadline_s=deadline_s,
        margin=margin,
        min_gain=min_gain,
        scheduled_time=scheduled_time,
        namespace=namespace,
    ).set_display_name("classifier")
    second = train_and_serve(
        data=data,
        target=regressor_target,
        name=regressor,
        exclude=regressor_exclude,
        framework=regressor_framework,
        params=regressor_params,
        replicas=1,  # written out: kfp.local takes what is left out from this pipeline's parameter of that name
        gpus=0,
        split=split,
        time_column=time_column,
        seed=seed,
        cpu=cpu,
        memory=memory,
        deadline_s=deadline_s,
        margin=margin,
        min_gain=min_gain,
        scheduled_time=scheduled_time,
        namespace=namespace,
    ).set_display_name("regressor")
    with dsl.If(first.outputs["Output"] == True, "first serves"):  # noqa: SIM117, E712 - kfp reads the comparison
        with dsl.If(second.outputs["Output"] == True, "both serve"):  # noqa: E712
            chained = deploy_graph(name=name, graph=graph, sample=data, namespace=namespace)
    on_cluster(chained, cached=False)
