"""Names tell the patient; damaged files tell what to do."""

from pathlib import Path

import pytest

from chest_xray.core.options import InputError
from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import parse_name


@pytest.mark.parametrize(
    ("path", "group", "aetiology"),
    [
        ("train/PNEUMONIA/person12_virus_46.jpeg", "person12_virus", "viral"),
        ("train/PNEUMONIA/person12_bacteria_46.jpeg", "person12_bacteria", "bacterial"),
        ("train/PNEUMONIA/person1_virus_7_2.jpeg", "person1_virus", "viral"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-0115", "none"),
        ("train/NORMAL/NORMAL2-IM-0115-0001-0002.jpeg", "NORMAL2-IM-0115", "none"),
        ("train/Normal/снимок 1.jpeg", "Normal/снимок 1.jpeg", "none"),
        ("train/PNEUMONIA/scan.jpeg", "PNEUMONIA/scan.jpeg", "unknown"),
    ],
)
def test_the_name_tells_patient_and_aetiology(path: str, group: str, aetiology: str) -> None:
    assert parse_name(path) == {"group": group, "aetiology": aetiology}


def test_a_damaged_file_is_an_input_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(b"\xff\xd8\xff no jpeg")
    with pytest.raises(InputError, match=r"cannot decode .*a\.jpeg: .* Replace the file or remove it"):
        read_pixels(str(tmp_path / "a.jpeg"), 16, 16)
