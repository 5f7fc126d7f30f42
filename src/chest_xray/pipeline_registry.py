"""The pipelines that `kedro run --pipelines=NAME` runs."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import (
    augmentation,
    data_processing,
    deployment,
    evaluation,
    experiments,
    modeling,
    report,
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
        "download": data_processing.create_download(),
        "ensemble": experiments.create_ensemble(),
        "cross_validation": experiments.create_cross_validation(),
        "study": experiments.create_study(),
        "export": deployment.create_export("augmented"),
        "prediction": deployment.create_prediction("augmented"),
        "external": deployment.create_external("augmented"),
    }
    return {**pipelines, **on_request, "__default__": Pipeline([*pipelines.values()])}
