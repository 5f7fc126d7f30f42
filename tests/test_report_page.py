"""The report page in a browser: whole in itself, accessible, readable on a phone, in the dark and on paper."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from chest_xray.pipelines.report.nodes import write_report
from chest_xray.reporting.report_contents import Report
from tests.browser import count_sheets, open_browser, read_log
from tests.reporting.inputs import make_evidence, make_figures, make_run_evidence

LANGUAGES = ("en", "ru")
WIDTHS = (1280, 360)  # pixels of a desktop and of a small phone
SCHEMES = ("light", "dark")
SHEET_WIDTH = 687  # pixels between the margins of A4: 210 - 2 x 14 mm
SCREEN = 900  # pixels
MAX_SCREENS, MAX_SHEETS = 12, 15  # of what is not folded
FIRST = ".verdict, .tiles, #summary .row img, #summary .confusion"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of the page in each language, with a wide figure and a long table among the others."""
    folder = tmp_path_factory.mktemp("pages")
    report, addresses = Report(synthetic=True, data_licence="MIT", num_test_looks=9), {}
    evidence = make_evidence(augmented_examples=make_figures(1400, 500))
    runs = {run: make_run_evidence(run) for run in ("baseline", "augmented")}
    for language, page in write_report(evidence, report, **runs).items():
        path = folder / f"{language}.html"
        path.write_text(page, encoding="utf-8")
        addresses[language] = path.as_uri()
    return addresses


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One for all tests of this file."""
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


def show(browser: Chrome, address: str, width: int = 1280, scheme: str = "light") -> None:
    """Open a page on a screen of this width."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    wanted = {"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    browser.get(address)


def ask(browser: Chrome, script: str) -> Any:
    return browser.execute_script(script)


def test_the_page_contacts_no_other_host_and_has_no_error(pages: dict[str, str], browser: Chrome) -> None:
    browser.get("about:blank")
    read_log(browser, "performance")
    read_log(browser, "browser")
    show(browser, pages["en"])
    assert browser.find_element(By.TAG_NAME, "h1").text
    events = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert {address for address in asked if not address.startswith(("data:", "chrome:"))} == {pages["en"]}
    assert ask(browser, "return performance.getEntriesByType('resource').length") == 0
    assert read_log(browser, "browser") == []


@pytest.mark.parametrize(("language", "width", "scheme"), [*product(LANGUAGES, WIDTHS, SCHEMES)])
def test_the_page_is_accessible_at_every_width_light_and_dark(
    language: str, width: int, scheme: str, pages: dict[str, str], browser: Chrome
) -> None:
    show(browser, pages[language], width, scheme)
    dark = ask(browser, "return getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 31)"
    assert dark == (scheme == "dark")
    ask(browser, "document.querySelectorAll('details').forEach(each => each.open = true)")
    found = Axe().run(browser)
    told = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 20


@pytest.mark.parametrize(("language", "width"), [*product(LANGUAGES, WIDTHS)])
def test_only_wide_tables_scroll_sideways(language: str, width: int, pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages[language], width)
    ask(browser, "document.querySelectorAll('details').forEach(each => each.open = true)")
    assert ask(browser, "return document.documentElement.scrollWidth") <= width
    wider = (
        "return [...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth).length"
    )
    if width == 360:
        assert ask(browser, wider) > 0  # otherwise the test would check nothing


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_screen_has_verdict_metrics_curve_matrix_and_pictures(
    language: str, pages: dict[str, str], browser: Chrome
) -> None:
    show(browser, pages[language])
    find = f"[...document.querySelectorAll('{FIRST}')].slice(0, 8)"
    shown = ask(browser, f"return {find}.map(each => [each.localName, each.getBoundingClientRect().bottom])")
    assert sorted(name for name, _ in shown) == ["dl", *["img"] * 5, "table", "ul"]
    assert max(bottom for _, bottom in shown) <= SCREEN


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_folded_takes_few_screens(language: str, pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages[language])
    assert ask(browser, "return document.documentElement.scrollHeight") <= MAX_SCREENS * SCREEN


@pytest.mark.parametrize("width", [1280, 360])
def test_pictures_of_a_pair_are_large_enough_to_read(width: int, pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages["en"], width)
    widths = ask(browser, "return [...document.querySelectorAll('.pairs img')].map(each => each.clientWidth)")
    assert min(each for each in widths if each) >= 250


def test_images_keep_their_aspect_ratio(pages: dict[str, str], browser: Chrome) -> None:
    script = (
        "return [...document.images].map(each => "
        "[each.naturalWidth / each.naturalHeight, each.clientWidth / each.clientHeight])"
    )
    for width in WIDTHS:
        show(browser, pages["en"], width)
        shown = ask(browser, script)
        assert len(shown) >= 10
        for natural, drawn in shown:
            assert drawn == pytest.approx(natural, rel=0.02)


def test_collapsed_parts_are_not_printed_and_no_figure_exceeds_a_page(pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages["en"])
    assert 5 <= count_sheets(browser) <= MAX_SHEETS
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    heights = ask(browser, "return [...document.images].map(each => each.clientHeight)")
    assert 0 < max(heights) < 225 / 25.4 * 96 + 1
    folded = "return [...document.querySelectorAll('details table')].filter(each => each.checkVisibility()).length"
    assert ask(browser, folded) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_table_is_wider_than_a_printed_page(language: str, pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages[language], SHEET_WIDTH)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    script = "return [...document.querySelectorAll('table')].map(each => each.getBoundingClientRect().right)"
    rights = ask(browser, script)
    assert len(rights) > 10
    assert max(rights) <= SHEET_WIDTH


def test_words_in_tables_are_not_broken_but_long_paths_are(pages: dict[str, str], browser: Chrome) -> None:
    show(browser, pages["ru"], 360)
    ask(browser, "document.querySelectorAll('details').forEach(each => each.open = true)")
    find = "[...document.querySelectorAll('tbody td, tbody th')].find(each => each.textContent.includes(arguments[0]))"
    script = f"return getComputedStyle({find}).overflowWrap"
    assert browser.execute_script(script, "чувствительность") != "anywhere"
    assert browser.execute_script(script, "</script>") == "anywhere"
