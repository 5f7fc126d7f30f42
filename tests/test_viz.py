"""Kedro-Viz shows the project: the graph's layers in order, and the pipelines' nodes in a browser."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import open_browser, read_log

ROOT = Path(__file__).parents[1]
PATIENCE = 90  # seconds; the server takes about 5, the page about 3
NOBODY = "http://127.0.0.1:9"  # The discard port: requests through this proxy go nowhere.
FONTS = {"fonts.googleapis.com", "fonts.gstatic.com"}  # Linked by the page of Kedro-Viz, which works without them.


@pytest.fixture(scope="module")
def viz_url() -> Iterator[str]:
    """Return the URL of a running Kedro-Viz that can reach no other machine."""
    port = _free_port()
    command = [sys.executable, "-m", "kedro", "viz", "run", "--no-browser", "--env=test", f"--port={port}"]
    environment = {**os.environ, "HTTPS_PROXY": NOBODY}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/main", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    """A port that nobody listens on. The system would offer one above 49151, which Kedro-Viz refuses."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    pytest.fail("No free port among 100 drawn from 20000 to 30000.")


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url):
                return
        except URLError:
            time.sleep(0.2)
    pytest.fail(f"Kedro-Viz does not answer at {url} after {PATIENCE} s, or has stopped.")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium for all tests of this file."""
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


def _requested_hosts(browser: Chrome) -> set[str]:
    """Return every host to which the page sent a request."""
    events = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    urls = [urlsplit(e["params"]["request"]["url"]) for e in events if e["method"] == "Network.requestWillBeSent"]
    return {url.hostname or "" for url in urls if url.scheme in ("http", "https")}


def test_layers_run_from_raw_images_to_reports(viz_url: str) -> None:
    with urlopen(f"{viz_url}/api/main") as answer:
        layers = json.load(answer)["layers"]
    assert layers == ["raw", "intermediate", "primary", "model_input", "models", "model_output", "reporting"]


def test_page_shows_each_group_without_error_and_contacts_no_other_host(viz_url: str, browser: Chrome) -> None:
    browser.get(viz_url)
    WebDriverWait(browser, PATIENCE).until(lambda page: page.find_elements(By.CLASS_NAME, "pipeline-node"))
    shown = {node.get_attribute("textContent") for node in browser.find_elements(By.CLASS_NAME, "pipeline-node__text")}
    assert shown >= {"data_processing", "baseline", "augmented", "reporting"}

    severe = [entry["message"] for entry in read_log(browser, "browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if not any(host in message for host in FONTS)] == []
    assert _requested_hosts(browser) <= FONTS | {"127.0.0.1"}


@pytest.mark.parametrize("pipeline", ["__default__", "evaluation", "augmentation", "report"])
def test_a_pipeline_opens_with_few_nodes_and_legible_text(viz_url: str, browser: Chrome, pipeline: str) -> None:
    browser.set_window_size(1400, 900)
    browser.get(f"{viz_url}/?pid={pipeline}")
    boxes = WebDriverWait(browser, PATIENCE).until(lambda page: page.find_elements(By.CLASS_NAME, "pipeline-node"))
    assert 5 <= len(boxes) <= 20

    def text_height(page: Chrome) -> float:
        return min(float(text.rect["height"]) for text in page.find_elements(By.CLASS_NAME, "pipeline-node__text"))

    WebDriverWait(browser, PATIENCE).until(lambda page: text_height(page) > 8.9)  # pixels, once the page has zoomed
