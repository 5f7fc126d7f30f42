"""A batch of new files: predictions shard by shard, a summary, and the evaluation on labelled images of another site.

In that evaluation network and threshold are frozen, and refusals count.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any

from chest_xray.core.files import NUM_THREADS, ListedFile
from chest_xray.core.types import Array, DataFrame, InputError, Result
from chest_xray.metrics.binary import PROPORTIONS, compute_rates, count_cells, count_outcomes, proportion, proportions
from chest_xray.metrics.bootstrap import draw_patient_resamples
from chest_xray.metrics.calibration_error import score_probabilities
from chest_xray.metrics.operating_point import Calibration
from chest_xray.metrics.results import Estimate, Metrics
from chest_xray.metrics.shift import Shift, add_size, compare_with_reference
from chest_xray.metrics.summary import Evaluation, adjust_to_prevalence, estimate, measure_ranking
from chest_xray.models.contract import Contract
from chest_xray.models.inference import (
    APPEARANCE,
    AS_PACKAGED,
    BATCH_SIZE,
    MEASURED,
    Prediction,
    Predictor,
    Prepared,
    Relaxation,
)

Shards = dict[str, list[ListedFile]]
Table = Any  # of pyarrow


def score_locally(
    shards: Shards, packaged: bytes, max_megabytes: float, relaxation: Relaxation
) -> Iterator[tuple[str, Table]]:
    """Yield the key and the table of each shard; see `score_shard`."""
    for key, files in shards.items():
        yield key, score_shard(files, packaged, max_megabytes, relaxation)


def score_on_cluster(
    shards: Shards, packaged: bytes, max_megabytes: float, relaxation: Relaxation, address: str
) -> Iterator[tuple[str, Table]]:
    """Yield what `score_locally` does, computed by the workers of a Dask cluster, which see the same paths.

    Dask moves the shards of a lost worker to others.

    Raises:
        ImportError: `distributed` is not installed (the extra `cluster`).
    """
    from distributed import Client, as_completed

    with Client(address) as client:
        network = client.scatter(packaged, broadcast=True)
        futures = {
            client.submit(score_shard, files, network, max_megabytes, relaxation): key for key, files in shards.items()
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
            future.release()


def score_shard(
    files: list[ListedFile], packaged: bytes, max_megabytes: float, relaxation: Relaxation = AS_PACKAGED
) -> Table:
    """Return one row per file, in order, with the columns of the node `predict_images`; see `predict_files`."""
    predictor = _load(packaged).relax(relaxation)
    return _tabulate(files, predict_files(predictor, files, max_megabytes), predictor)


def predict_files(predictor: Predictor, files: Sequence[ListedFile], max_megabytes: float) -> list[Prediction]:
    """Return one prediction for each file, in order.

    Files are decoded in threads; those above `max_megabytes` are refused without being read.
    """

    def read(file: ListedFile) -> Prepared:
        if file.problem:
            return Prediction.refuse("unreadable", file.problem)
        if (megabytes := file.size / 1e6) > max_megabytes:
            detail = f"{megabytes:,.0f} MB; files of at most {max_megabytes:g} MB are opened"
            return Prediction.refuse("too_large", detail)
        return predictor.read(file.path)

    with warnings.catch_warnings(), ThreadPoolExecutor(NUM_THREADS) as pool:
        warnings.simplefilter("ignore")  # Of Pillow and pydicom; what matters becomes a reason.
        prepared = pool.map(read, files)
        batches = iter(lambda: list(islice(prepared, BATCH_SIZE)), [])
        return [prediction for batch in batches for prediction in predictor.predict_prepared(batch)]


_load = lru_cache(maxsize=1)(Predictor.load)


def _tabulate(files: list[ListedFile], predictions: list[Prediction], predictor: Predictor) -> Table:
    import pyarrow as pa

    columns = {
        "path": [escape_invalid(file.name) for file in files],
        "probability": [prediction.probability for prediction in predictions],
        "decision": [prediction.decision for prediction in predictions],
        "refer": [prediction.refer for prediction in predictions],
        **{name: [use] * len(files) for name, use in predictor.describe_use().items()},
        **{name: [getattr(prediction, name) for prediction in predictions] for name in MEASURED},
        "reason": [prediction.reason for prediction in predictions],
        "detail": [escape_invalid(prediction.detail) for prediction in predictions],
        "warnings": [prediction.warnings for prediction in predictions],
    }
    numbers = ("probability", "threshold", "expected_prevalence", "ood_score", *APPEARANCE)
    types = {**dict.fromkeys(numbers, pa.float64()), "width": pa.int32(), "height": pa.int32(), "refer": pa.bool_()}
    return pa.table(columns, schema=pa.schema([(name, types.get(name, pa.string())) for name in columns]))


def escape_invalid(text: str) -> str:
    """Escape the bytes of a name that are not valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class BatchSummary(Result):
    """How many files were answered, referred and refused.

    `num_referred` of the answered images are left to a human; None if the network has no referral band. `refused`
    counts files by reason. `shift` compares the images that could be read with the validation images; None if there is
    none, or if the network was packaged without a reference.
    """

    model: str
    intended_use: str
    expected_prevalence: float
    num_files: int
    num_answered: int
    num_positive: int
    num_referred: int | None
    refused: dict[str, int]
    shift: Shift | None


def summarise_batch(predictions: DataFrame, contract: Contract, fingerprint: str) -> BatchSummary:
    """Summarise the predictions of a network, one row per file, with the columns of `Prediction`."""
    is_read = predictions["sharpness"].notna()
    reference = contract.reference
    measured = add_size(predictions[is_read])
    return BatchSummary(
        model=fingerprint,
        intended_use=contract.intended_use,
        expected_prevalence=contract.operating_point.calibration.expected_prevalence,
        num_files=len(predictions),
        num_answered=int(predictions["decision"].notna().sum()),
        num_positive=int((predictions["decision"] == contract.labels[1]).sum()),
        num_referred=int(predictions["refer"].eq(True).sum()) if contract.operating_point.band else None,
        refused={str(reason): int(num) for reason, num in predictions["reason"].dropna().value_counts().items()},
        shift=compare_with_reference(measured, reference) if reference and len(measured) else None,
    )


class ExternalEvaluation(Result):
    """Metrics of an external set beside those of the internal test.

    `answered` has the metrics on answered images. `refused_as_errors` has accuracy, sensitivity and specificity on all
    labelled images, with every refusal counted as a wrong decision. `refused_by_class` counts refusals by reason and
    class. `prevalence` is that of all labelled images.
    """

    title: str
    batch: BatchSummary
    num_unlabelled: int
    num_patients: int
    prevalence: float
    internal_prevalence: float
    counts: dict[str, int]
    answered: dict[str, Estimate]
    refused_as_errors: dict[str, Estimate]
    internal: dict[str, Estimate]
    refused_by_class: dict[str, dict[str, int]]

    @property
    def num_images(self) -> int:
        """The number of labelled images."""
        return self.refused_as_errors["accuracy"].n


def evaluate_external_set(
    predictions: DataFrame, title: str, packaged: tuple[Contract, str], metrics: Metrics, evaluation: Evaluation
) -> ExternalEvaluation:
    """Evaluate the predictions of an external set.

    Args:
        predictions: One row per file: the columns of `chest_xray.models.inference.Prediction`, `label` (1: PNEUMONIA;
            missing: unknown, left out of all metrics) and `group` (the patient).
        title: The name of the set.
        packaged: Contract and fingerprint of the network.
        metrics: Of the network on the internal test.
        evaluation: Seed of the bootstrap.

    Raises:
        InputError: All labelled images that were answered are of one class, or none was.
    """
    contract, fingerprint = packaged
    labelled = predictions[predictions["label"].notna()].astype({"label": int})
    answered = labelled[labelled["decision"].notna()]
    if answered["label"].nunique() < 2:
        raise InputError(
            f"received answered images of one class alone (label: images {answered['label'].value_counts().to_dict()}) "
            f"of {len(labelled)} labelled ones; expected NORMAL and PNEUMONIA. See the reasons in predictions.csv."
        )
    label, is_positive = answered["label"].to_numpy(), (answered["decision"] == contract.labels[1]).to_numpy()
    counts = count_cells(label, is_positive)
    measured = _measure(answered, is_positive, contract.operating_point.calibration, evaluation)
    shares = dict(proportions(counts))
    correct = {"accuracy": counts["tn"] + counts["tp"], "sensitivity": counts["tp"], "specificity": counts["tn"]}
    num_pneumonia = int(labelled["label"].sum())
    totals = {"accuracy": len(labelled), "sensitivity": num_pneumonia, "specificity": len(labelled) - num_pneumonia}
    refused = labelled[labelled["reason"].notna()]
    return ExternalEvaluation(
        title=title,
        batch=summarise_batch(predictions, contract, fingerprint),
        num_unlabelled=len(predictions) - len(labelled),
        num_patients=int(labelled["group"].nunique()),
        prevalence=num_pneumonia / len(labelled),
        internal_prevalence=metrics.test.prevalence,
        counts=counts,
        answered={name: shares[name] if name in PROPORTIONS else measured[name] for name in list_internal(metrics)},
        refused_as_errors={name: proportion(correct[name], total) for name, total in totals.items()},
        internal=list_internal(metrics),
        refused_by_class={
            str(reason): {name: int((images["label"] == index).sum()) for index, name in enumerate(contract.labels)}
            for reason, images in refused.groupby("reason")
        },
    )


def list_internal(metrics: Metrics) -> dict[str, Estimate]:
    """List the metrics of the internal test that those of an external set are compared with."""
    test = metrics.test
    sources = (
        (test.at_chosen, ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "mcc")),
        (test, ("auc", "pr_auc")),
        (test.calibration, ("brier", "ece", "slope", "intercept")),
    )
    return {name: getattr(source, name) for source, names in sources for name in names}


def _measure(
    answered: DataFrame, is_positive: Array, calibration: Calibration, evaluation: Evaluation
) -> dict[str, Estimate]:
    from scipy.special import logit

    label, probability = answered["label"].to_numpy(), answered["probability"].to_numpy(float)
    weights = draw_patient_resamples(answered["group"].to_numpy(), evaluation.seed)
    moved = adjust_to_prevalence(answered.assign(log_odds=logit(probability)), calibration)
    measured = {
        **compute_rates(count_outcomes(label, is_positive, weights), evaluation.realistic_prevalence),
        **measure_ranking(label, probability, weights),
        **score_probabilities(label, moved, weights),
    }
    return {name: estimate({"patients": values}, len(label)) for name, values in measured.items()}
