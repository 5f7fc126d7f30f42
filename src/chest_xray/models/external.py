"""Evaluation on images of another site: the network and its threshold are frozen, and refusals count."""

from chest_xray.core.types import Array, DataFrame, InputError, Result
from chest_xray.metrics.binary import PROPORTIONS, compute_rates, count_outcomes, proportion, proportions
from chest_xray.metrics.bootstrap import draw_patient_resamples
from chest_xray.metrics.calibration_error import score_probabilities
from chest_xray.metrics.operating_point import Calibration
from chest_xray.metrics.results import Estimate, Metrics
from chest_xray.metrics.summary import Evaluation, estimate, measure_ranking, move_to_prevalence
from chest_xray.models.batch import BatchSummary, summarise_batch
from chest_xray.models.contract import Contract

DECISION_METRICS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "mcc")
RANKING_METRICS = ("auc", "pr_auc")
CALIBRATION_METRICS = ("brier", "ece", "slope", "intercept")


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
        InputError: No labelled image of one class was answered.
    """
    import numpy as np

    contract, fingerprint = packaged
    labelled = predictions[predictions["label"].notna()].astype({"label": int})
    answered = labelled[labelled["decision"].notna()]
    if answered["label"].nunique() < 2:
        raise InputError(
            f"received answered images of one class alone (label: images {answered['label'].value_counts().to_dict()}) "
            f"of {len(labelled)} labelled ones; expected NORMAL and PNEUMONIA. See the reasons in predictions.csv."
        )
    label, is_positive = answered["label"].to_numpy(), (answered["decision"] == contract.labels[1]).to_numpy()
    cells = count_outcomes(label, is_positive, np.ones((1, len(answered))))
    counts = {name: int(count[0]) for name, count in cells.items()}
    measured = _measure(answered, is_positive, contract.operating_point.calibration, evaluation)
    shares = dict(proportions(counts))
    right = {"accuracy": counts["tn"] + counts["tp"], "sensitivity": counts["tp"], "specificity": counts["tn"]}
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
        refused_as_errors={name: proportion(right[name], total) for name, total in totals.items()},
        internal=list_internal(metrics),
        refused_by_class={
            str(reason): {name: int((part["label"] == each).sum()) for each, name in enumerate(contract.labels)}
            for reason, part in refused.groupby("reason")
        },
    )


def list_internal(metrics: Metrics) -> dict[str, Estimate]:
    """List the metrics of the internal test that an external set is compared by."""
    test = metrics.test
    places = ((test.at_chosen, DECISION_METRICS), (test, RANKING_METRICS), (test.calibration, CALIBRATION_METRICS))
    return {name: getattr(place, name) for place, names in places for name in names}


def _measure(
    answered: DataFrame, is_positive: Array, calibration: Calibration, evaluation: Evaluation
) -> dict[str, Estimate]:
    from scipy.special import logit

    label, probability = answered["label"].to_numpy(), answered["probability"].to_numpy(float)
    weights = draw_patient_resamples(answered["group"].to_numpy(), evaluation.seed)
    moved = move_to_prevalence(answered.assign(log_odds=logit(probability)), calibration)
    measured = {
        **compute_rates(count_outcomes(label, is_positive, weights), evaluation.realistic_prevalence),
        **measure_ranking(label, probability, weights),
        **score_probabilities(label, moved, weights),
    }
    return {name: estimate({"patients": each}, len(label)) for name, each in measured.items()}
