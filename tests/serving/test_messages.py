"""The page has the same messages in both languages, one for every refusal, and escapes file metadata."""

import re
import string

import numpy as np
import pytest

from chest_xray.models.inference import Prediction
from chest_xray.serving.app import STATUS
from chest_xray.serving.messages import Renderer, read_messages
from chest_xray.serving.pictures import draw_heat, show_picture
from tests.builders import encode, make_contract, make_point
from tests.serving.fakes import CONTRACT

NO_PICTURE = {"picture": None, "heat": None, "width": 0, "height": 0}
JUDGED = ("too_small", "extreme_aspect", "colour", "blank", "unlike_training")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_messages_with_the_same_placeholders() -> None:
    english, russian = read_messages("en"), read_messages("ru")
    assert list(english) == list(russian)
    for key, text in english.items():
        assert fields(text) == fields(russian[key]), key
        assert re.search("[а-яё]", russian[key], re.IGNORECASE) or key == "decimal_mark", key
        assert not re.search("[а-яё]", text, re.IGNORECASE), key


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("reason", [*STATUS, *JUDGED])
def test_every_refusal_has_its_own_message(reason: str, language: str) -> None:
    messages = read_messages(language)
    assert messages[f"reason_{reason}"] != messages["reason_other"]


def test_file_metadata_is_escaped() -> None:
    refusal = Prediction.refuse("no_such_reason", "<script>alert(1)</script>")
    page = Renderer("en", "").render_result(refusal, CONTRACT, NO_PICTURE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "The image was read, but the network gives no answer for it." in page


def test_the_threshold_is_converted_to_a_calibrated_probability() -> None:
    # logit(0.5) = 0; 0 / 2 + bias 1 + logit(0.5) = 1, and the sigmoid of 1 is 0.731.
    contract = make_contract(make_point(0.5, temperature=2.0, bias=1.0))
    page = Renderer("ru", "").render_result(Prediction(0.9996, "PNEUMONIA", None, "", 1.25), contract, NO_PICTURE)
    assert "порог 73,1%" in page
    assert "&gt; 99,9%" in page
    assert "Показатель отличия от обучающих снимков: 1,25; если он больше 5,50, ответ" in page


def test_an_image_is_shown_with_its_aspect_ratio_or_as_the_network_input() -> None:
    wide = encode(np.tile(np.arange(100, dtype=np.uint8), (50, 1)))
    shown = {
        geometry: show_picture(wide, {"width": 16, "height": 16, "geometry": geometry}, 200)
        for geometry in ("stretch", "crop", "pad")
    }
    assert {geometry: given and given[1:] for geometry, given in shown.items()} == {
        **{"stretch": (512, 256), "crop": (512, 512), "pad": (512, 512)}
    }
    assert show_picture(b"no picture", {"width": 16, "height": 16, "geometry": "stretch"}, 200) is None


def test_there_is_no_overlay_without_evidence_for_pneumonia() -> None:
    assert draw_heat(np.zeros((4, 4), np.float32)) is None
    assert str(draw_heat(np.eye(4, dtype=np.float32))).startswith("data:image/png;base64,")
