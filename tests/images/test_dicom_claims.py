"""What a DICOM file says of patient and view is believed where it contradicts a child's frontal chest."""

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from chest_xray.images.dicom_claims import check_claims, read_age
from chest_xray.images.preprocessing import Preparation, PreparedImage, preprocess_file
from tests.builders import make_acceptance, make_pixels
from tests.dicom_files import make_dataset, write

PREPARATION = Preparation(width=32, height=32)


def check(**elements: Any) -> tuple[str | None, tuple[str, ...]]:
    refusal, warnings = check_claims(write(make_dataset(make_pixels(1, 40, 40)[0], **elements)), make_acceptance())
    return refusal[0] if refusal else None, warnings


def view_code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "R-1", "SRT", meaning
    return item


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({}, None),
        ({"Modality": "DX", "ViewPosition": "AP", "BodyPartExamined": "CHEST", "PatientOrientation": ["L", "F"]}, None),
        ({"Modality": "", "ViewPosition": "", "BodyPartExamined": "", "PatientAge": ""}, None),
        ({"Modality": "CR", "ViewPosition": "PA", "BodyPartExamined": "THORAX AP"}, None),
        ({"Modality": "CT"}, "modality"),
        ({"Modality": "MR"}, "modality"),
        ({"Modality": "MG"}, "modality"),
        ({"BodyPartExamined": "HAND"}, "body_part"),
        ({"BodyPartExamined": "ABDOMEN"}, "body_part"),
        ({"BodyPartExamined": "THORACIC SPINE"}, "body_part"),
        ({"BodyPartExamined": "CHESTABDOMEN"}, None),
        ({"BodyPartExamined": "SOMETHING"}, None),
        ({"ViewPosition": "LL"}, "view"),
        ({"ViewPosition": "LATERAL"}, "view"),
        ({"ViewPosition": "LLD"}, "view"),
        ({"ViewCodeSequence": Sequence([view_code("left lateral")])}, "view"),
        ({"ViewCodeSequence": Sequence([view_code("postero-anterior")])}, None),
        ({"PatientOrientation": ["A", "F"]}, "view"),
        ({"PatientOrientation": ["AL", "F"]}, "view"),
        ({"PatientOrientation": ["L", "PF"]}, "view"),
        ({"PatientOrientation": ["L", "H"]}, "upside_down"),
        ({"PatientOrientation": ["F", "L"]}, "lying"),
        ({"PatientOrientation": ["R", "F"]}, None),
        ({"ViewPosition": "LLAT"}, "view"),
        ({"ViewPosition": "SEITLICH"}, "view"),
        ({"BodyPartExamined": "KNIE"}, "body_part"),
        ({"BodyPartExamined": "BRUSTWIRBEL"}, "body_part"),
        ({"BodyPartExamined": "КОЛЕНО".encode().decode("latin-1"), "SpecificCharacterSet": "ISO_IR 192"}, "body_part"),
        ({"ViewPosition": "БОК".encode("iso8859-5").decode("latin-1"), "SpecificCharacterSet": "ISO_IR 144"}, "view"),
        (
            {
                "ViewPosition": "БОК".encode("iso8859-5").decode("latin-1"),
                "SpecificCharacterSet": ["ISO 2022 IR 144", "ISO 2022 IR 100"],
            },
            "view",
        ),
        ({"ViewPosition": "ÿþ", "SpecificCharacterSet": "ISO_IR 192"}, None),
        ({"AnatomicRegionSequence": Sequence([view_code("Knee")])}, "body_part"),
        ({"AnatomicRegionSequence": Sequence([view_code("Chest")]), "BodyPartExamined": "ABDOMEN"}, None),
    ],
)
def test_a_statement_against_a_frontal_chest_is_a_reason(elements: dict[str, Any], reason: str | None) -> None:
    assert check(**elements) == (reason, ())


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PatientAge": "018Y"}, None),
        ({"PatientAge": "019Y"}, "adult"),
        ({"PatientAge": "006M"}, None),
        ({"PatientAge": "240M"}, "adult"),
        ({"PatientAge": "010D"}, None),
        ({"PatientAge": "000Y"}, None),
        ({"PatientAge": "45 Y"}, "adult"),
        ({"PatientAge": "5Y6M"}, None),
        ({"PatientBirthDate": "19500101", "StudyDate": "20200101"}, "adult"),
        ({"PatientBirthDate": "20150101", "StudyDate": "20200101"}, None),
        ({"PatientBirthDate": "19500101"}, None),
        ({"PatientAge": "003Y", "PatientBirthDate": "19500101", "StudyDate": "20200101"}, None),
    ],
)
def test_adults_are_refused(elements: dict[str, str], reason: str | None) -> None:
    assert check(**elements) == (reason, ())


def test_ages_are_in_years() -> None:
    def read(**elements: str) -> float | None:
        dataset = Dataset()
        for name, value in elements.items():
            setattr(dataset, name, value)
        return read_age(dataset)

    assert read(PatientAge="002Y") == 2
    assert read(PatientAge="018M") == pytest.approx(1.5)
    assert read(PatientAge="052W") == pytest.approx(1, abs=0.01)
    assert read(PatientAge="073D") == pytest.approx(0.2, abs=0.001)
    assert read(PatientBirthDate="20200229", StudyDate="20200229") == 0
    assert read(PatientBirthDate="20200229", StudyDate="20200228") is None


def test_an_adult_gets_an_answer_with_a_warning_if_the_limits_allow_it() -> None:
    data = write(make_dataset(make_pixels(1, 40, 40)[0], PatientAge="060Y"))
    refused = preprocess_file(data, PREPARATION, make_acceptance())
    assert refused == ("adult", "a patient of 60 years; the network is meant for children up to 18")
    answered = preprocess_file(data, PREPARATION, make_acceptance(answer_adults=True))
    assert isinstance(answered, PreparedImage)
    assert answered.warnings == ("adult",)


def test_an_element_that_breaks_its_own_rules_counts_as_no_statement() -> None:
    data = write(make_dataset(make_pixels(1, 40, 40)[0], Modality="DX", PatientAge="004Y"))
    assert data.count(b"004Y") == 1
    assert check_claims(data.replace(b"004Y", b"old!"), make_acceptance()) == (None, ())
