"""The page in a real browser: upload, result, overlay, both languages, a phone; no request to another host."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from chest_xray.datasets import PackagedModelDataset
from chest_xray.images.phantoms import draw_phantom
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR, PackagedModel, read_contract
from tests.browser import open_browser, read_log
from tests.builders import encode, make_packaged, make_run_metrics
from tests.conftest import copy_project
from tests.serving.commands import PATIENCE, Started, started

PHANTOM = encode(draw_phantom(np.random.default_rng(1), "bacterial"), "JPEG")
BLACK = encode(np.zeros((40, 40), np.uint8))


def with_evidence(path: Path) -> None:
    """Make the weights of a packaged network positive, so that bright pixels are evidence for pneumonia."""
    import keras

    network = keras.saving.load_model(path)
    network.set_weights([0.5 * np.abs(weights) for weights in network.get_weights()])
    with zipfile.ZipFile(path) as archive:
        contract = read_contract(archive.read(CONTRACT), str(path))
        ood_detector = dict(np.load(io.BytesIO(archive.read(OOD_DETECTOR))))
    PackagedModelDataset(filepath=str(path)).save(PackagedModel(network, contract, ood_detector))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A running `kedro demo`."""
    folder = tmp_path_factory.mktemp("demo")
    project = copy_project(folder / "project")
    with_evidence(make_packaged(project / "data/test/06_models/augmented/packaged.keras", threshold=0.4))
    metrics = project / "data/test/08_reporting/augmented/metrics.json"
    metrics.parent.mkdir(parents=True)
    metrics.write_text(make_run_metrics().model_dump_json(), "utf-8")
    with started("demo", project, folder) as server:
        with urlopen(f"{server.url}/model", timeout=PATIENCE):
            log = re.sub(r"\s+", "", server.log.read_text())
            assert re.search(r"Network:\S*data/test/06_models/augmented/packaged\.keras", log)
            yield server
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium for all tests of this file."""
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


@pytest.fixture
def browser(site: Started, chrome: Chrome) -> Iterator[Chrome]:
    """It without storage, and a check that no other host was asked and nothing went wrong."""
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site.url, "storageTypes": "all"})
    chrome.execute_cdp_cmd("Network.clearBrowserCache", {})
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    for kind in ("performance", "browser"):
        read_log(chrome, kind)
    yield chrome
    assert WebDriverWait(chrome, PATIENCE).until(asked_hosts) == {"127.0.0.1"}
    # The browser cancels requests when it leaves a page.
    severe = [each for each in read_log(chrome, "browser") if each["level"] == "SEVERE"]
    assert [each for each in severe if "AbortError" not in str(each)] == []


def asked_hosts(browser: Chrome) -> set[str]:
    """Return every host to which the page sent or tried to send a request."""
    events = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    urls = [
        urlsplit(each["params"]["request"]["url"]) for each in events if each["method"] == "Network.requestWillBeSent"
    ]
    return {url.hostname or "" for url in urls if url.scheme in ("http", "https", "ws", "wss")}


def find(browser: Chrome, selector: str) -> Any:
    """Wait for an element."""
    return WebDriverWait(browser, PATIENCE, 0.05).until(lambda page: page.find_elements(By.CSS_SELECTOR, selector))[0]


def text_of(browser: Chrome, selector: str) -> str:
    return str(find(browser, selector).get_attribute("textContent"))


def send(browser: Chrome, folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    find(browser, "#file").send_keys(str(folder / name))


def opacity(browser: Chrome) -> float:
    return float(browser.execute_script("return getComputedStyle(document.querySelector('.heat')).opacity"))


def test_an_uploaded_image_is_shown_with_overlay_probability_and_operating_point(
    site: Started, browser: Chrome, tmp_path: Path
) -> None:
    browser.get(site.url)
    assert browser.current_url == f"{site.url}/en/"
    assert "Not a medical device" in text_of(browser, ".warning")
    assert "Trained on: SYNTHETIC phantoms drawn by this project" in text_of(browser, ".source")
    send(browser, tmp_path, "scan.jpg", PHANTOM)
    heading = text_of(browser, ".answer h2")
    assert heading in ("Above the threshold: PNEUMONIA", "Below the threshold: NORMAL")
    answer = text_of(browser, ".answer")
    assert "Probability of pneumonia" in answer
    assert "of 100 healthy children 10 [9, 11] are classified as PNEUMONIA" in " ".join(answer.split())
    assert not find(browser, ".answer details").get_attribute("open")
    assert "holds where 50% of the children have pneumonia" in " ".join(answer.split())
    shown = "return Array.from(document.querySelectorAll('.stack img')).map(each => each.naturalWidth)"
    assert browser.execute_script(shown) == [512, 256]


def test_the_slider_changes_the_strength_of_the_overlay(site: Started, browser: Chrome, tmp_path: Path) -> None:
    browser.get(f"{site.url}/en/")
    send(browser, tmp_path, "scan.jpg", PHANTOM)
    slider = find(browser, "input[type=range]")
    assert opacity(browser) == pytest.approx(0.5)
    for value in ("0", "1"):
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            slider,
            value,
        )
        assert opacity(browser) == float(value)


def test_a_refused_image_is_shown_with_the_reason_and_without_a_decision(
    site: Started, browser: Chrome, tmp_path: Path
) -> None:
    browser.get(f"{site.url}/en/")
    send(browser, tmp_path, "black.png", BLACK)
    assert text_of(browser, ".answer h2") == "No answer for this file"
    assert "The image is blank" in text_of(browser, ".answer .big")
    assert "grey values deviate by 0.0" in text_of(browser, ".answer")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".stack img")) == 1
    assert browser.find_elements(By.CSS_SELECTOR, "input[type=range], .bar") == []


@pytest.mark.parametrize(("language", "said"), [("en", "The file is not an image"), ("ru", "Это не изображение")])
def test_a_file_that_is_not_an_image_gives_a_message(
    language: str, said: str, site: Started, browser: Chrome, tmp_path: Path
) -> None:
    browser.get(f"{site.url}/{language}/")
    send(browser, tmp_path, "notes.txt", b"<script>alert(1)</script> no picture")
    assert said in text_of(browser, ".answer .big")
    assert browser.find_elements(By.CSS_SELECTOR, ".stack img") == []


def test_the_page_can_be_switched_to_russian(site: Started, browser: Chrome) -> None:
    browser.get(f"{site.url}/en/")
    find(browser, "header a").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: page.current_url == f"{site.url}/ru/")
    assert "Не медицинское изделие" in text_of(browser, ".warning")
    assert "перетащите его сюда" in text_of(browser, "#upload")
    assert browser.execute_script("return document.documentElement.lang") == "ru"
    find(browser, "[data-sample=NORMAL]").click()
    assert "Вероятность пневмонии" in text_of(browser, ".answer .big")
    assert "Разметка этого снимка: здоров." in text_of(browser, ".answer")
    assert "," in text_of(browser, ".answer .big")  # the decimal mark


def test_the_page_shows_the_contract_of_the_network(site: Started, browser: Chrome) -> None:
    browser.get(f"{site.url}/en/")
    find(browser, "#about summary").click()
    facts = " ".join(text_of(browser, "dl.about").split())
    assert "one grey channel, 32 x 32 pixels (stretched), values from 0 to 1" in facts
    assert "Not a medical device" in facts


def test_the_page_fits_a_phone_screen(site: Started, browser: Chrome, tmp_path: Path) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    for language in ("en", "ru"):
        browser.get(f"{site.url}/{language}/")
        send(browser, tmp_path, "scan.jpg", PHANTOM)
        find(browser, ".stack .heat")
        wide = (
            "return Array.from(document.querySelectorAll('body *'))"
            ".filter(each => each.getBoundingClientRect().right > 390.5 && each.offsetParent)"
            ".map(each => each.tagName + '.' + each.className)"
        )
        assert browser.execute_script(wide) == []
        answer, picture = (find(browser, each).rect["y"] for each in (".answer", ".picture"))
        assert picture < answer


def test_an_upload_leaves_no_file(site: Started, browser: Chrome, tmp_path: Path) -> None:
    (folder,) = site.scratch.glob("chest-xray-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    browser.get(f"{site.url}/en/")
    send(browser, tmp_path, "scan.jpg", PHANTOM)
    find(browser, ".answer")
    left = [path.name for path in site.scratch.rglob("*") if path.is_file()]
    assert [name for name in left if not name.startswith("__autograph_generated")] == []  # TensorFlow's own


def test_a_file_name_is_rendered_as_text(site: Started, browser: Chrome, tmp_path: Path) -> None:
    browser.get(f"{site.url}/en/")
    name = "<img src=x onerror=alert(1)>.jpg"
    send(browser, tmp_path, name, PHANTOM)
    find(browser, ".answer")
    assert text_of(browser, "#name") == name
    assert browser.find_elements(By.CSS_SELECTOR, "#name img") == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_is_accessible(language: str, site: Started, browser: Chrome, tmp_path: Path) -> None:
    browser.get(f"{site.url}/{language}/")
    send(browser, tmp_path, "scan.jpg", PHANTOM)
    find(browser, ".answer")
    find(browser, "#about summary").click()
    find(browser, "dl.about")
    found = Axe().run(browser)
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


def test_all_controls_can_be_reached_with_the_keyboard(site: Started, browser: Chrome) -> None:
    browser.get(f"{site.url}/en/")
    reached = []
    for _ in range(5):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        element = browser.switch_to.active_element
        reached.append(element.get_attribute("id") or element.get_attribute("data-sample") or element.tag_name)
    assert reached == ["a", "file", "NORMAL", "PNEUMONIA", "summary"]
