"""Checks of patient and view in the header of a DICOM file, which must not contradict an upright child's chest."""

import io
import re
from contextlib import suppress
from datetime import date
from typing import Any

from pydicom import dcmread
from pydicom.charset import convert_encodings

from chest_xray.images.validation import InputChecks, Refusal

RADIOGRAPHS = ("CR", "DX", "DR", "RG", "RF", "XA", "OT", "SC")  # modalities; the last two may be anything
CHEST = re.compile(
    r"(?!.*(SPINE|WIRBEL|COLUMNA|ПОЗВОН)).*(CHEST|THORA|TORAX|LUNG|PULM|RIB|STERN|HEART|CARD|MEDIAST|BRUST|CLAVIC|TRUNK|BABYGRAM|POITRINE|ГРУД|ЛЕГК|ЛЁГК)"
)
OTHER_PARTS = re.compile(  # of PS3.16, annex L, as far as they are X-rayed, and abbreviations in use
    r"ABDOM|PELV|HIP\b|SKULL|HEAD|BRAIN|FACE|SINUS|ORBIT|NECK|SPINE|CERVI|LUMB|SACR|COCCYX|SHOULDER|SCAPULA|HUMERUS|"
    r"ARM\b|ELBOW|WRIST|HAND|FINGER|THUMB|FEMUR|THIGH|KNEE|PATELLA|LEG\b|TIBIA|FIBULA|CALF|ANKLE|FOOT|TOE|CALCAN|"
    r"EXTREM|BREAST|JAW|MANDIB|MAXILLA|TEETH|TOOTH|DENTAL|NOSE|NASAL|BLADDER|KIDNEY|UROG|BONE ?AGE|"
    r"ABD\b|BAUCH|BECKEN|H(Ü|UE)FT|SCH(Ä|AE)DEL|HALS\b|WIRBEL|SCHULTER|KNIE\b|FU(ß|SS)\b|CR[ÂAÁ]N|BASSIN|GENOU|RODILLA|"
    r"GINOCCHIO|JOELHO|MANO\b|HOMBRO|COLUMNA|ЧЕРЕП|ГОЛОВ|ПОЗВОН|ЖИВОТ|БРЮШ|КОЛЕН|КИСТ|СТОП|ПЛЕЧ|БЕДР|ЛОКТ"
)
LATERAL = re.compile(
    r"\b(LL|RL|LLD|RLD|LLO|RLO|LAO|RAO|LPO|RPO)\b|\bLAT|LAT\b|LATERAL|SEITL|OBL|DECUB|AXIAL|LORDO|TANGEN|PERFIL|PROFIL|БОК|側|侧"
)
AGE = re.compile(r"0*(\d{1,3}) *([DWMY])")  # PS3.5, table 6.2-1, and what some writers make of it
DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
DATES = ["AcquisitionDate", "StudyDate", "ContentDate"]
TAGS = [*DATES, "PatientAge", "PatientBirthDate", "Modality", "ViewPosition", "ViewCodeSequence", "BodyPartExamined"]
TAGS += ["AnatomicRegionSequence", "PatientOrientation"]
ADULT = "adult"  # the reason of a refusal, and the name of a warning


def check_claims(data: bytes, limits: InputChecks) -> tuple[Refusal | None, tuple[str, ...]]:
    """Check what a DICOM file states of itself; absent, empty and unknown values count as no statement.

    Args:
        data: The file, which `dicom.read_dicom` has read.
        limits: Its `max_age` in years, and `answer_adults`.

    Returns:
        A refusal (`modality`, `body_part`, `view`, `upside_down`, `lying` or `adult`) or None, and warnings (`adult`).
    """
    dataset = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(TAGS))
    if refusal := _find_contradiction(dataset):
        return refusal, ()
    age = read_age(dataset)
    if age is None or age < limits.max_age + 1:  # Years of age are completed ones.
        return None, ()
    if limits.answer_adults:
        return None, (ADULT,)
    detail = f"a patient of {age:.0f} years; the network is meant for children up to {limits.max_age:g}"
    return Refusal(ADULT, detail), ()


def _read(dataset: Any, keyword: str) -> str:
    """Return an element as text in capitals, its values separated by backslashes; empty where it cannot be read."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom raises several kinds on values that break the rules of their type.
        return ""
    if value is None:
        return ""
    values = [value] if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") else value
    text = "\\".join(map(str, values))
    with suppress(UnicodeError):  # Codes should be ASCII, so pydicom reads others as Latin-1.
        text = text.encode("latin-1").decode(convert_encodings(dataset.get("SpecificCharacterSet"))[0])
    return text.strip().upper()


def _read_meanings(dataset: Any, keyword: str) -> list[str]:
    sequence = dataset.get(keyword)
    return [_read(item, "CodeMeaning") for item in sequence] if hasattr(sequence, "__iter__") else []


def _find_contradiction(dataset: Any) -> Refusal | None:
    modality = _read(dataset, "Modality")
    if modality and modality not in RADIOGRAPHS:
        return Refusal("modality", f"an image of modality {modality}; expected a radiograph (CR or DX)")
    part = " ".join([_read(dataset, "BodyPartExamined"), *_read_meanings(dataset, "AnatomicRegionSequence")]).strip()
    if OTHER_PARTS.search(part) and not CHEST.match(part):
        return Refusal("body_part", f"BodyPartExamined is {part}; expected CHEST")
    for view in (_read(dataset, "ViewPosition"), *_read_meanings(dataset, "ViewCodeSequence")):
        if LATERAL.search(view):
            return Refusal("view", f"by the file, the view is {view}; expected a frontal one (AP or PA)")
    # The directions of rows and columns begin with A or P, H or F, L or R (PS3.3, C.7.6.1.1.1).
    row, _, column = _read(dataset, "PatientOrientation").partition("\\")
    detail = f"PatientOrientation is {row}\\{column}; expected L\\F, the left and the feet of the patient"
    if row[:1] in ("A", "P") or column[:1] in ("A", "P"):
        return Refusal("view", detail)
    if row[:1] in ("H", "F"):
        return Refusal("lying", detail)
    return Refusal("upside_down", detail) if column[:1] == "H" else None


def read_age(dataset: Any) -> float | None:
    """Return the age in years, by PatientAge or by the dates of birth and of the study; None where neither is known."""
    if match := AGE.match(_read(dataset, "PatientAge")):
        number, unit = match.groups()
        return int(number) * DAYS[unit] / DAYS["Y"] if int(number) else None  # Anonymised files have 000Y.
    born = _read_date(dataset, "PatientBirthDate")
    taken = [_read_date(dataset, name) for name in DATES]
    days = next(((day - born).days for day in taken if day is not None), None) if born else None
    return days / DAYS["Y"] if days is not None and days >= 0 else None


def _read_date(dataset: Any, keyword: str) -> date | None:
    try:
        return date.fromisoformat(_read(dataset, keyword).replace(".", "-"))
    except ValueError:
        return None
