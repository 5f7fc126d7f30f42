"""The page has the same messages in both languages, one for every refusal, and escapes file metadata."""

import re
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from chest_xray.images.preprocessing import Preparation
from chest_xray.images.view_examples import VIEWS
from chest_xray.models.inference import Prediction
from chest_xray.serving.app import STATUS
from chest_xray.serving.page_contents import Renderer, Samples, draw_heat, read_messages, show_picture
from tests.builders import (
    encode,
    interval,
    make_acceptance,
    make_contract,
    make_point,
    make_run_metrics,
    make_split,
    with_band,
)
from tests.conftest import ROOT
from tests.serving.fakes import BACKGROUND, CONTRACT

NO_PICTURE = {"picture": None, "heat": None, "width": 0, "height": 0, "label": None}
LIMITS = make_acceptance()
JUDGED = ("too_small", "extreme_aspect", "colour", "blank", *VIEWS[1:], "view", "body_part", "modality", "adult")

PROBLEMS = (
    *("foreign_host", "forbidden", "busy", "invalid_request", "bad_request", "not_found", "method_not_allowed"),
    *("request_timeout", "internal_error"),
)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_messages_with_the_same_placeholders() -> None:
    english, russian = read_messages("en"), read_messages("ru")
    assert list(english) == list(russian)
    for key, text in english.items():
        assert fields(text) == fields(russian[key]), key
        assert re.search("[а-яё]", russian[key], re.IGNORECASE) or key in ("decimal_mark", "interval"), key
        assert not re.search("[а-яё]", text, re.IGNORECASE), key


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("reason", [*STATUS, *JUDGED, *PROBLEMS])
def test_every_refusal_has_its_own_message(reason: str, language: str) -> None:
    messages = read_messages(language)
    assert messages[f"reason_{reason}"] != messages["reason_other"]


def test_file_metadata_is_escaped() -> None:
    refusal = Prediction.refuse("no_such_reason", "<script>alert(1)</script>")
    page = Renderer("en", BACKGROUND).render_result(refusal, CONTRACT, NO_PICTURE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "The image was read, but the network gives no answer for it." in page


def test_threshold_and_probability_are_shown_on_one_scale_with_the_digits_that_tell_them_from_1() -> None:
    contract = make_contract(make_point(0.731, temperature=2.0, bias=1.0))
    page = Renderer("ru", BACKGROUND).render_result(
        Prediction(0.9996, "PNEUMONIA", None, "", 0.25), contract, NO_PICTURE
    )
    assert "порог 73,1%" in page
    assert ">Вероятность пневмонии 99,96%<" in page
    assert "PNEUMONIA при вероятности от 73,1%" in Renderer("ru", BACKGROUND).render_about(contract, "abc")
    assert "правильном положении, 1 — что-то иное): 0,25; если он больше 0,50, ответ" in page


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "&lt; 0.00001%"),
        (4e-4, "0.04%"),
        (0.5, "50.0%"),
        (0.999, "99.9%"),
        (0.99999, "99.999%"),
        (1.0, "&gt; 99.99999%"),
    ],
)
def test_no_probability_is_shown_as_0_or_100_percent(probability: float, shown: str) -> None:
    page = Renderer("en", BACKGROUND).render_result(
        Prediction(probability, "NORMAL", None, "", 1.0), CONTRACT, NO_PICTURE
    )
    assert f">Probability of pneumonia {shown}<" in page


def test_an_image_is_shown_with_its_aspect_ratio_or_as_the_network_input() -> None:
    wide = encode(np.tile(np.arange(100, dtype=np.uint8), (50, 1)))
    shown = {
        geometry: show_picture(wide, Preparation(width=16, height=16, geometry=geometry), LIMITS)
        for geometry in ("stretch", "crop", "pad")
    }
    assert {geometry: given and given[1:] for geometry, given in shown.items()} == {
        **{"stretch": (512, 256), "crop": (512, 512), "pad": (512, 512)}
    }
    assert show_picture(b"no picture", Preparation(width=16, height=16), LIMITS) is None


def test_there_is_no_overlay_without_evidence_for_pneumonia() -> None:
    assert draw_heat(np.zeros((4, 4), np.float32)) is None
    assert str(draw_heat(np.eye(4, dtype=np.float32))).startswith("data:image/png;base64,")


def render(language: str, **changes: Any) -> str:
    """The answer on one page of a network with these metrics on test."""
    background = BACKGROUND._replace(metrics=make_run_metrics(**changes))
    renderer, answer = Renderer(language, background), Prediction(0.9, "PNEUMONIA", None, "", 1.0)
    return " ".join(renderer.render_result(answer, make_contract(make_point(0.4)), NO_PICTURE).split())


def test_an_answer_states_the_error_rates_on_test() -> None:
    rates = {"specificity": interval(0.83, 0.88, 0.91), "sensitivity": interval(0.95, 0.982, 1)}
    assert (
        "On test, of 100 healthy children 12 [9, 17] are classified as PNEUMONIA, and of 100 children with pneumonia "
        "2 [0, 5] are missed (95% intervals; 100 and 100 images)."
    ) in render("en", **rates)
    assert (
        "из 100 здоровых детей к больным отнесены 12 [9; 17], а из 100 детей с пневмонией пропущены 2 [0; 5]"
        in render("ru", **rates)
    )


@pytest.mark.parametrize(
    ("language", "heading", "reason"),
    [
        ("en", "Too close to the threshold: refer to a human", "Between 37.8% and 62.2%, the network does not decide"),
        ("ru", "Слишком близко к порогу: нужно показать врачу", "При вероятности от 37,8% до 62,2% сеть не принимает"),
    ],
)
def test_an_image_near_the_threshold_is_referred_to_a_human_instead_of_a_class(
    language: str, heading: str, reason: str
) -> None:
    contract = make_contract(with_band(make_point(0.5)))
    renderer, answer = Renderer(language, BACKGROUND), Prediction(0.6, "PNEUMONIA", None, "", 0.2)
    page = renderer.render_result(answer._replace(refer=True), contract, NO_PICTURE)
    assert re.findall("<h2.*?>(.*?)</h2>", page) == [heading]
    assert reason in page
    assert renderer.messages["decision_PNEUMONIA"] in page
    assert heading not in renderer.render_result(answer._replace(refer=False), contract, NO_PICTURE)
    assert renderer.messages["contract_band"] in renderer.render_about(contract, "abc")
    assert renderer.messages["contract_band"] not in renderer.render_about(CONTRACT, "abc")


def test_without_metrics_of_this_network_the_answer_has_the_rates_of_validation() -> None:
    answer = Prediction(0.9, "PNEUMONIA", None, "", 1.0)
    other = BACKGROUND._replace(metrics=make_run_metrics())
    for background in (BACKGROUND, other):  # The metrics are of a threshold of 0.4.
        page = Renderer("en", background).render_result(answer, make_contract(make_point(0.6)), NO_PICTURE)
        assert "On test" not in page
        assert "On corrupted validation images" in page


def test_texts_of_contract_and_parameters_are_in_the_language_of_the_page() -> None:
    sources = [
        read_parameter(f"conf/{name}") for name in ("base/parameters_data_processing.yml", "demo/parameters.yml")
    ]
    texts = [*sources, CONTRACT.intended_use, CONTRACT.output.meaning]
    renderer = Renderer("ru", BACKGROUND)
    assert [re.search("[а-яё]", renderer.translate(text)) is not None for text in texts] == [True] * 4
    assert renderer.translate("something else") == "something else"


def read_parameter(file: str) -> str:
    return str(yaml.safe_load((ROOT / file).read_text("utf-8"))["data_source"])


def test_a_russian_answer_has_no_english_but_names_and_the_message_of_the_program() -> None:
    page = render("ru") + Renderer("ru", BACKGROUND).render_about(CONTRACT, "0123456789abcdef")
    page += Renderer("ru", BACKGROUND).render_page(["ru"])
    for language_en in (
        r'<p lang="en">.*?</p>',
        r"<dt>Создана с помощью</dt>\s*<dd>.*?</dd>",
        "<[^>]*>",
        "[0-9a-f]{12,}",
    ):
        page = re.sub(language_en, " ", page, flags=re.DOTALL)
    words = set(re.findall("[A-Za-z]{2,}", page))
    assert words <= {"NORMAL", "PNEUMONIA", "SHA", "JPEG", "PNG", "DICOM", "JavaScript", "predict"}, words


def test_samples_are_validation_images_that_exist(tmp_path: Path) -> None:
    split = make_split([0, 1, 1, 0], ["validation", "validation", "validation", "train"])
    split["path"] = [str(tmp_path / f"{number}.png") for number in range(4)]
    for number in (0, 1, 3):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    samples = Samples.of_validation(split)
    assert samples.paths == {"NORMAL": [str(tmp_path / "0.png")], "PNEUMONIA": [str(tmp_path / "1.png")]}
    assert samples.draw("PNEUMONIA") == b"\x01"
    (tmp_path / "0.png").unlink()
    assert Samples.of_validation(split) == Samples("none")


def test_samples_of_a_folder_of_test_need_both_labels_and_skip_junk(tmp_path: Path) -> None:
    for name in ("NORMAL/a.png", "NORMAL/.DS_Store", "PNEUMONIA/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    samples = Samples.of_test(str(tmp_path))
    assert samples.kind == "test"
    assert (samples.draw("NORMAL"), samples.draw("PNEUMONIA")) == (b"NORMAL/a.png", b"PNEUMONIA/b.png")
    (tmp_path / "PNEUMONIA/b.png").unlink()
    assert Samples.of_test(str(tmp_path)) == Samples.of_test(None) == Samples("none")


@pytest.mark.parametrize(("kind", "num_buttons"), [("phantoms", 2), ("validation", 2), ("test", 2), ("none", 0)])
def test_the_page_offers_samples_where_there_are_some(kind: Any, num_buttons: int) -> None:
    page = Renderer("en", BACKGROUND._replace(samples=Samples(kind))).render_page(["en"])
    assert page.count("data-sample=") == num_buttons
    assert ("No image at hand?" in page) == (num_buttons > 0)
