"""Answers and refusals become DICOM Structured Reports that pydicom and highdicom read back."""

import io
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from chest_xray.core.types import InputError
from chest_xray.models.inference import Prediction, Predictor
from chest_xray.models.structured_report import build_report, write_reports
from tests.builders import encode, make_packaged, make_pixels
from tests.dicom_files import make_dataset, write

USE = {"model": "0123456789abcdef", "threshold": 0.4, "expected_prevalence": 0.5, "intended_use": "Teaching."}
ANSWER = Prediction(0.75, "PNEUMONIA", None, "", 1.5)
REFUSAL = Prediction.refuse("unlike_training", "an OOD score of 9; expected at most 5", 9.0)


def make_image(**elements: Any) -> Any:
    image = pydicom.dcmread(io.BytesIO(write(make_dataset(np.zeros((40, 40), np.uint8)))))
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    for name, value in {**uids, **elements}.items():
        setattr(image, name, value)
    return image


def write_and_read(report: Any) -> Any:
    """Write the report, and read it with the reader of highdicom, which checks its structure."""
    file = io.BytesIO()
    report.save_as(file)
    file.seek(0)
    return hd.sr.srread(file)


def list_texts(report: Any) -> list[str]:
    return [str(each.value) for each in report.iterall() if each.VR == "UT"]


def groups_of(report: Any) -> list[Any]:
    return list(report.content.get_image_measurement_groups())


def read_group(report: Any) -> Any:
    (group,) = groups_of(write_and_read(report))
    return group


def test_an_answer_has_its_numbers_and_what_they_assume() -> None:
    group = read_group(build_report(make_image(), ANSWER, USE))
    assert {each.name.meaning: float(each.value) for each in group.get_measurements()} == {
        "Probability of pneumonia": 0.75,
        "Threshold of the decision": 0.4,
        "Prevalence that both assume": 0.5,
        "Out-of-distribution score": 1.5,
    }
    (evaluation,) = group.get_qualitative_evaluations()
    assert (evaluation.value.meaning, evaluation.value.scheme_designator) == ("Pneumonia", "SCT")


def test_an_image_near_the_threshold_keeps_its_class_and_is_referred() -> None:
    group = read_group(build_report(make_image(), ANSWER._replace(refer=True), USE))
    assert [each.value.meaning for each in group.get_qualitative_evaluations()] == ["Pneumonia", "Refer to a human"]


def test_a_refusal_has_its_reason_and_no_probability() -> None:
    report = build_report(make_image(), REFUSAL, USE)
    group = read_group(report)
    assert "Probability of pneumonia" not in {each.name.meaning for each in group.get_measurements()}
    (evaluation,) = group.get_qualitative_evaluations()
    assert (evaluation.name.meaning, evaluation.value.meaning) == ("Refused because", "unlike_training")
    assert "an OOD score of 9; expected at most 5" in list_texts(report)


def test_the_report_is_of_the_patient_and_study_refers_to_the_image_and_is_not_verified() -> None:
    image = make_image(PatientID="7", PatientName="Doe^Jane")
    before = str(image)
    read = write_and_read(build_report(image, ANSWER, USE))
    assert str(image) == before
    assert (read.PatientID, str(read.PatientName), read.Modality) == ("7", "Doe^Jane", "SR")
    assert read.StudyInstanceUID == image.StudyInstanceUID
    assert image.SOPInstanceUID in str(read)
    assert read.VerificationFlag == "UNVERIFIED"
    assert "Teaching." in list_texts(read)
    assert any("0123456789abcdef" in text for text in list_texts(read))


def test_the_same_image_and_network_give_the_same_report_and_another_network_another() -> None:
    image = make_image()
    first, again = (build_report(image, ANSWER, USE) for _ in range(2))
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert build_report(image, ANSWER, {**USE, "model": "f" * 16}).SOPInstanceUID != first.SOPInstanceUID


def test_an_image_without_a_study_is_refused() -> None:
    with pytest.raises(InputError, match=r"has no StudyInstanceUID; expected all of SOPClassUID, .* Export the file"):
        build_report(make_image(StudyInstanceUID=None), ANSWER, USE)


def test_reports_of_files_are_written_for_answers_and_refusals_and_other_files_are_named(tmp_path: Path) -> None:
    predictor = Predictor.load(make_packaged(tmp_path / "packaged.keras"))
    image = pydicom.dcmread(io.BytesIO(write(make_dataset(make_pixels(1, 80, 60)[0]))))
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = (generate_uid() for _ in range(3))
    image.save_as(tmp_path / "answered.dcm")
    make_image().save_as(tmp_path / "blank.dcm")
    make_image(StudyInstanceUID=None).save_as(tmp_path / "homeless.dcm")
    (tmp_path / "picture.png").write_bytes(encode(make_pixels(1)[0]))
    names = ("answered.dcm", "blank.dcm", "homeless.dcm", "picture.png")
    found = dict(write_reports(predictor, [str(tmp_path / name) for name in names], tmp_path / "out/sr"))
    problems = [found[str(tmp_path / name)] for name in names]
    assert problems[:2] == ["", ""]
    assert "has no StudyInstanceUID" in problems[2]
    assert problems[3].startswith("no report: ")
    read = [hd.sr.srread(path) for path in sorted((tmp_path / "out/sr").iterdir())]
    values = {group.get_qualitative_evaluations()[0].value.meaning for each in read for group in groups_of(each)}
    assert "blank" in values
    assert values - {"blank"} <= {"Pneumonia", "Normal"}
    assert len(values) == 2
