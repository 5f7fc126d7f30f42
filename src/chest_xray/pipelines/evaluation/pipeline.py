from kedro.pipeline import Pipeline
def create_pipeline(*a) -> Pipeline:
    return Pipeline([])
