"""ingest: any table in; contract, profile and three splits out."""

from typing import List, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Metrics, Output

from seaway.resources.images import image


@dsl.component(base_image=image("sklearn"), install_kfp_package=False)
def ingest(
    data: str,
    target: str,
    train: Output[Dataset],
    validation: Output[Dataset],
    test: Output[Dataset],
    contract_out: Output[Artifact],
    profile_out: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    task: str = "auto",
    contract: str = "",
    exclude: List[str] = [],  # noqa: B006 - kfp copies defaults into the YAML
    split: str = "random",
    time_column: str = "",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    seed: int = 0,
    scheduled_time: str = "",
) -> NamedTuple("Outputs", validation_uri=str, dataset_digest=str):
    """Read a table, hold it against its contract, profile it and split it.

    Args:
        data: URI of CSV or Parquet, a file or a folder; any fsspec scheme.
        target: The column to predict; rows without a value in it are reported and left out.
        task: classification, regression, or auto.
        contract: URI of a contract that the rows must hold; empty infers one.
        exclude: Columns to leave out, such as other targets.
        split: random (by seed) or time (by time_column, the latest rows last).
        time_column: A timestamp or number column, for split=time.
        test_fraction: Of the rows, for the untouched holdout.
        validation_fraction: Of the rows, for early stopping and the packaging gate.
        seed: Of the random split.
        scheduled_time: Of a recurring run; noted, and it keeps the cache from answering with an older table.

    Returns:
        train: Parquet of the training rows.
        validation: Parquet of the validation rows.
        test: Parquet of the holdout.
        contract_out: The contract, JSON.
        profile_out: The profile of every column, JSON.
        report: The data report.
        metrics: Counts of rows.
        validation_uri: URI of the validation rows, for launchers.
        dataset_digest: SHA-256 of the data.
    """
    arguments = dict(locals())
    from seaway.data.ingest import ingest as run
    from seaway.observe.step import task as step

    result = step("ingest", run, arguments)
    return (validation.uri, result.dataset_digest)
