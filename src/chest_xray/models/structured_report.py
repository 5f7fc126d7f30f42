"""The answer for a DICOM image as a DICOM Structured Report (TID 1500 of PS3.16) that archives and viewers read."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chest_xray import __version__
from chest_xray.core.types import InputError
from chest_xray.models.inference import Prediction, Predictor

NAME = "chest-xray"
SCHEME = "99CHESTXRAY"  # of private codes, each of which is written with its meaning
SERIES_NUMBER = 900
REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Of type 2: present, but empty where the image has none.
EMPTY_IF_UNKNOWN = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
DECISIONS = {"NORMAL": ("17621005", "Normal"), "PNEUMONIA": ("233604007", "Pneumonia")}  # of SNOMED CT


def build_report(image: Any, prediction: Prediction, use: dict[str, Any]) -> Any:
    """Build the report of one answer or refusal, marked as not verified by a person.

    Args:
        image: The data set of the image (pydicom), with or without pixels; not changed.
        prediction: The answer, or the reason for the refusal.
        use: From `Predictor.describe_use`.

    Returns:
        A Comprehensive SR of highdicom, which is a data set of pydicom. The same image and network give the same UIDs.

    Raises:
        InputError: The image lacks a UID that the report has to refer to.
    """
    import highdicom as hd
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    if missing := [name for name in REQUIRED if not image.get(name)]:
        raise InputError(
            f"the DICOM file has no {', '.join(missing)}; expected all of {', '.join(REQUIRED)}, for a report. "
            "Export the file from the archive again."
        )
    evidence = Dataset()
    evidence.update(image)
    for name in EMPTY_IF_UNKNOWN:
        if name not in evidence:
            setattr(evidence, name, None)
    identity = [image.SOPInstanceUID, use["model"]]
    return hd.sr.ComprehensiveSR(
        evidence=[evidence],
        content=_build_content(image, prediction, use),
        series_instance_uid=generate_uid(entropy_srcs=[*identity, "series"]),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(entropy_srcs=[*identity, "instance"]),
        instance_number=1,
        manufacturer=NAME,
        is_complete=True,
        is_verified=False,
    )


def write_reports(predictor: Predictor, paths: Sequence[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Predict DICOM files, and write a report of each to `<SOPInstanceUID of the report>.dcm`.

    Yields:
        The path of each file, and why it has no report; empty if it has one.

    Raises:
        InputError: highdicom is not installed (the extra `dicom-sr`).
    """
    from importlib.util import find_spec

    from pydicom import dcmread

    if not find_spec("highdicom"):
        raise InputError("highdicom is not installed; expected the extra: pip install 'chest-xray[dicom-sr]'.")
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of pydicom; what matters becomes a reason.
                (prediction,) = predictor.predict([path])
                report = build_report(dcmread(path, stop_before_pixels=True), prediction, predictor.describe_use())
                report.save_as(folder / f"{report.SOPInstanceUID}.dcm")
        except Exception as error:  # Of damaged files; pydicom raises anything on them.
            yield path, f"no report: {error}"
        else:
            yield path, ""


def _build_content(image: Any, prediction: Prediction, use: dict[str, Any]) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    def code(meaning: str) -> Any:
        return sr.CodedConcept(meaning.replace(" ", "_")[:16], SCHEME, meaning[:64])

    def measure(meaning: str, value: float | None) -> list[Any]:
        return [] if value is None else [sr.Measurement(code(meaning), value, codes.UCUM.NoUnits)]

    if prediction.decision is None:
        answer = sr.QualitativeEvaluation(code("Refused because"), code(f"{prediction.reason}"))
    else:
        value, meaning = DECISIONS[prediction.decision]
        answer = sr.QualitativeEvaluation(code("Decision"), sr.CodedConcept(value, "SCT", meaning))
    referral = [sr.QualitativeEvaluation(code("Referral"), code("Refer to a human"))] if prediction.refer else []
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[use["model"]]), name=NAME, manufacturer_name=NAME, model_name=use["model"]
    )
    details = [use["intended_use"], *([prediction.detail] if prediction.detail else [])]
    tracking_uid = generate_uid(entropy_srcs=[image.SOPInstanceUID, "answer"])
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(tracking_uid, "answer"),
        algorithm_id=sr.AlgorithmIdentification(NAME, f"{__version__}, network {use['model']}", details),
        measurements=[
            *measure("Probability of pneumonia", prediction.probability),
            *measure("Threshold of the decision", use["threshold"]),
            *measure("Prevalence that both assume", use["expected_prevalence"]),
            *measure("Out-of-distribution score", prediction.ood_score),
        ],
        qualitative_evaluations=[answer, *referral],
        source_images=[sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        procedure_reported=sr.CodedConcept("399208008", "SCT", "Plain X-ray of chest"),
        imaging_measurements=[group],
    )
