"""The pipelines that `kedro run --pipelines=NAME` runs."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import (
    augmentation,
    cross_validation,
    data_processing,
    download,
    ensemble,
    evaluation,
    export,
    external,
    modeling,
    prediction,
    report,
    study,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by the name that users type; `__default__` joins those that the report needs."""
    pipelines = {
        "data_processing": data_processing.create_pipeline(),
        "modeling": modeling.create_pipeline("baseline"),
        "evaluation": evaluation.create_pipeline("baseline"),
        "augmentation": augmentation.create_pipeline(),
        "report": report.create_pipeline(),
    }
    on_request = {
        "download": download.create_pipeline(),
        "ensemble": ensemble.create_pipeline(),
        "cross_validation": cross_validation.create_pipeline(),
        "study": study.create_pipeline(),
        "export": export.create_pipeline("augmented"),
        "prediction": prediction.create_pipeline("augmented"),
        "external": external.create_pipeline("augmented"),
    }
    return {**pipelines, **on_request, "__default__": Pipeline([*pipelines.values()])}
