"""The server returns the results of the predictor, refuses invalid requests, and keeps no file."""

import asyncio
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from chest_xray.models.inference import Predictor, Relaxation
from chest_xray.serving.app import create_app
from chest_xray.serving.service import Decoders, Service, start_decoders
from tests.builders import encode, make_pixels
from tests.serving.fakes import CONTRACT, Fake, make_serving, serving

BASE = "http://127.0.0.1"
GREY = np.full((16, 16), 51, np.uint8)  # 51 / 255 = 0.2
USE = {
    **{"model": "0123456789abcdef", "threshold": pytest.approx(0.5), "expected_prevalence": 0.5},
    "intended_use": CONTRACT.intended_use,
}


def no_failure(error: Exception) -> None:
    raise error


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """Processes for all tests of this file."""
    with start_decoders(make_serving()) as started:
        yield started


@pytest.fixture
def client(decoders: Decoders) -> Iterator[TestClient]:
    """A server with a fake predictor."""
    options = make_serving()
    with TestClient(create_app(Service(Fake, options, no_failure, decoders), options), base_url=BASE) as client:
        client.get("/model")  # waits until the network is loaded
        yield client


def send(client: TestClient, data: bytes, name: str = "image.png", kind: str = "image/png") -> Any:
    return client.post("/predict", files={"file": (name, data, kind)})


def test_an_image_gets_probability_and_decision(client: TestClient) -> None:
    answer = send(client, encode(GREY))
    assert answer.status_code == 200
    assert answer.json() == {
        **{"probability": pytest.approx(0.2), "decision": "NORMAL", "refer": None},
        **{"reason": None, "detail": "", "message": "", "ood_score": 1.0, "warnings": ""},
        **USE,
    }
    assert send(client, encode(4 * GREY)).json()["decision"] == "PNEUMONIA"


@pytest.mark.parametrize(
    "name", ["scan", "scan.txt", "скан.dcm", "../../etc/passwd", "C:\\x\\..\\y.png", "a\0b", "*" * 500]
)
@pytest.mark.parametrize("kind", ["text/plain", "application/dicom", "no/such"])
def test_the_format_is_detected_from_the_content_and_not_from_name_or_type(
    name: str, kind: str, client: TestClient
) -> None:
    assert send(client, encode(GREY), name, kind).json()["probability"] == pytest.approx(0.2)


def test_a_refused_image_gets_a_reason(client: TestClient) -> None:
    answer = send(client, encode(0 * GREY))
    assert answer.status_code == 200
    assert answer.json() == {
        **{"probability": None, "decision": None, "refer": None},
        **{"reason": "unlike", "detail": "a black picture", "ood_score": 0.9, "warnings": ""},
        "message": "The image was read, but the network gives no answer for it.",
        **USE,
    }


LANGUAGES: list[tuple[str, dict[str, str], bool]] = [
    ("", {}, False),
    ("", {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.8"}, True),
    ("", {"Accept-Language": "de, en;q=0.5, ru;q=0.7"}, True),
    ("", {"Accept-Language": "ru;q=0.1,en"}, False),
    ("", {"Accept-Language": "ru;q=high"}, False),
    ("?language=ru", {"Accept-Language": "en"}, True),
    ("?language=xx", {}, False),
]


@pytest.mark.parametrize(("query", "headers", "is_russian"), LANGUAGES)
def test_every_refusal_has_a_sentence_in_the_language_asked_for(
    query: str, headers: dict[str, str], is_russian: bool, client: TestClient
) -> None:
    image, text = ("image.png", encode(0 * GREY)), ("a.txt", b"no picture")
    answers = [
        client.post(f"/predict{query}", files={"file": image}, headers=headers),
        client.post(f"/predict{query}", files={"file": text}, headers=headers),
        client.post(f"/predict{query}", headers=headers),
        client.post(f"/predict{query}", files=[("file", image), ("file", image)], headers=headers),
        client.post(f"/predict{query}", files={"file": image}, headers={**headers, "Origin": "http://evil.example"}),
        client.post(f"/predict{query}", content=bytes(2_000_000), headers=headers),
        client.get(f"/predict{query}", headers=headers),
        client.get(f"/nothing{query}", headers=headers),
        client.get(f"/model{query}", headers={**headers, "Host": "evil.example"}),
    ]
    other = client.post(f"/predict/batch{query}", files=[("files", text)], headers=headers).json()["answers"]
    for found in [*(answer.json() for answer in answers), *other]:
        assert found["reason"]
        assert bool(re.search("[а-яё]", found["message"])) == is_russian, found
        assert not re.search("[а-яё]", found["detail"])
    messages = {answer.json()["message"] for answer in answers}
    assert len(messages) == 8  # The third and the fourth are malformed in one way.


def test_an_image_is_turned_on_request(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Relaxation] = []

    def relax(self: Fake, relaxation: Relaxation) -> Fake:
        asked.append(relaxation)
        return self

    monkeypatch.setattr(Fake, "relax", relax, raising=False)
    files = {"file": ("image.png", encode(GREY))}
    turned = client.post("/predict?turn_upright=true", files=files)
    assert (turned.status_code, asked) == (200, [Relaxation(turn_upright=True)])
    assert client.post("/predict", files=files).json() == turned.json()
    client.post("/predict/batch?turn_upright=true", files=[("files", files["file"])] * 2)
    assert len(asked) == 3
    assert client.post("/predict?turn_upright=maybe", files=files).json()["reason"] == "invalid_request"


def bomb() -> bytes:
    """9 megapixels in a few kilobytes."""
    return encode(np.zeros((3000, 3000), np.uint8))


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 422, "empty"),
        (b"no picture at all", 422, "not_an_image"),
        (encode(make_pixels(1, 200, 200)[0])[:5000], 422, "truncated"),
        (encode(make_pixels(1, 200, 200)[0], "JPEG")[:5000], 422, "truncated"),
        (bomb(), 413, "too_large"),
        (bytes(1_500_000), 413, "too_large"),
    ],
)
def test_non_images_and_oversized_files_have_different_status_codes(
    data: bytes, status: int, reason: str, client: TestClient
) -> None:
    answer = send(client, data)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["detail"]


def test_an_upload_without_content_length_is_limited(client: TestClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    def parts() -> Iterator[bytes]:
        yield head
        for _ in range(40):
            yield bytes(100_000)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/predict", content=parts(), headers=kind)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


def test_a_batch_is_answered_in_order_and_files_are_independent(client: TestClient) -> None:
    files = [("files", (name, data)) for name, data in (("a", encode(GREY)), ("b", b"none"), ("c", encode(4 * GREY)))]
    answer = client.post("/predict/batch", files=files)
    assert answer.status_code == 200
    found = answer.json()["answers"]
    assert [each["reason"] for each in found] == [None, "not_an_image", None]
    assert [each["decision"] for each in found] == ["NORMAL", None, "PNEUMONIA"]


def test_too_many_files_are_refused(client: TestClient) -> None:
    answer = client.post("/predict/batch", files=[("files", ("a", encode(GREY)))] * 5)
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")
    assert "at most 4 items" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("request_of", "status", "reason"),
    [
        (lambda client: client.post("/predict"), 422, "invalid_request"),
        (lambda client: client.post("/predict", json={"file": "x"}), 422, "invalid_request"),
        (lambda client: client.post("/predict", data={"file": "a field, not a file"}), 422, "invalid_request"),
        (lambda client: client.post("/predict/batch", files={"file": b"x"}), 422, "invalid_request"),
        (lambda client: client.get("/predict"), 405, "method_not_allowed"),
        (lambda client: client.get("/nothing"), 404, "not_found"),
        (lambda client: client.get("/redoc"), 404, "not_found"),
        (lambda client: client.post("/predict", files=[("file", ("a", encode(GREY)))] * 2), 422, "invalid_request"),
        (lambda client: client.get("/health", headers={"Host": "evil.example"}), 400, "foreign_host"),
        (lambda client: client.get("/health", headers={"Host": "127.0.0.1.evil.example:80"}), 400, "foreign_host"),
        (lambda client: client.get("/health", headers={"Host": "[::1"}), 400, "foreign_host"),
        (lambda client: client.get("/health", headers={"Host": ""}), 400, "foreign_host"),
    ],
)
def test_an_invalid_request_gets_a_reason_and_a_message(
    request_of: Callable[[TestClient], Any], status: int, reason: str, client: TestClient
) -> None:
    answer = request_of(client)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["detail"]


def test_health_and_model_identify_the_network(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ready", "reason": None}
    assert client.get("/model").json() == {
        "fingerprint": "0123456789abcdef",
        "contract": CONTRACT.model_dump(mode="json"),
    }


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_every_name_of_this_machine_is_answered(host: str, client: TestClient) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_a_failure_of_the_server_has_a_reason_and_does_not_show_the_error(decoders: Decoders) -> None:
    options = make_serving()
    app = create_app(Service(Fake, options, no_failure, decoders), options)
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        answer = send(client, encode(np.full((16, 16), 13, np.uint8)))
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal_error")
    assert "unlucky" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_documentation_lists_every_operation_and_loads_only_its_own_style_sheet(client: TestClient) -> None:
    page = client.get("/")
    assert page.url.path == "/docs"
    for operation in ("POST /predict", "POST /predict/batch", "GET /model", "GET /health"):
        assert f"<code>{operation}</code>" in page.text
    for sentence in ("from which a probability is PNEUMONIA", "curl -F files=@radiograph.jpeg", "The upload took too"):
        assert sentence in page.text
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page.text) == ["/page.css", "/openapi.json"]
    assert client.get("/page.css").headers["content-type"].startswith("text/css")


def test_a_batch_is_summarised(client: TestClient) -> None:
    files = [("files", (name, encode(data))) for name, data in (("a", GREY), ("b", 4 * GREY), ("c", 0 * GREY))]
    found = client.post("/predict/batch", files=files).json()["batch"]
    assert (found["num_files"], found["num_answered"], found["num_positive"]) == (3, 2, 1)
    assert found["refused"] == {"unlike": 1}


def test_responses_have_a_content_security_policy(client: TestClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "http" not in answer.headers["Content-Security-Policy"]


def spoilt(seed: int) -> bytes:
    """Corrupt images: noise, truncated, with flipped bytes, or with the header of some format."""
    rng = random.Random(seed)
    picture = encode(make_pixels(1, 60, 60, seed)[0], rng.choice(["PNG", "JPEG", "BMP", "GIF", "TIFF"]))
    kind = seed % 4
    if kind == 0:
        return rng.randbytes(rng.randrange(2000))
    if kind == 1:
        return picture[: rng.randrange(len(picture))]
    if kind == 2:
        return rng.choice([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", bytes(128) + b"DICM", b"GIF89a"]) + rng.randbytes(
            500
        )
    flipped = bytearray(picture)
    for _ in range(20):
        flipped[rng.randrange(len(flipped))] = rng.randrange(256)
    return bytes(flipped)


def test_hundreds_of_corrupt_uploads_are_answered_and_leave_no_file(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = ("a.png", "../a.png", "/tmp/a", "..\\..\\a", "%2e%2e/a", "con", "a;b|c", "\n", "")
    for seed in range(400):
        answer = send(client, spoilt(seed), names[seed % len(names)] or "x", "image/png")
        assert answer.status_code in (200, 413, 415, 422), answer.text
        assert set(answer.json()) >= {"reason", "detail"}
    assert send(client, encode(GREY)).status_code == 200
    assert list(tmp_path.rglob("*")) == []


@asynccontextmanager
async def running(predictor: Predictor, decoders: Decoders, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    options = make_serving(**changes)
    service = Service(lambda: predictor, options, no_failure, decoders)
    transport = httpx.ASGITransport(create_app(service, options), raise_app_exceptions=False)
    async with service.running(), httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30) as client:
        await client.get("/model")
        yield client


async def post(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await client.post("/predict", files={"file": ("a", data)})


def test_concurrent_requests_share_batches_and_get_the_same_results_as_single_requests(decoders: Decoders) -> None:
    pictures = [encode(pixels) for pixels in make_pixels(40)]

    async def ask() -> None:
        fake = Fake(seconds=0.02)
        async with running(fake, decoders) as client:
            together = await asyncio.gather(*(post(client, each) for each in pictures))
            assert sum(fake.batches) == 40
            assert max(fake.batches) == 8
            assert len(fake.batches) < 15
            alone = [await post(client, each) for each in pictures]
            assert [each.json() for each in together] == [each.json() for each in alone]
            assert len({each.json()["probability"] for each in alone}) > 30
            assert fake.batches[-1] == 1

    asyncio.run(ask())


def test_excess_requests_get_503_and_the_queue_recovers(decoders: Decoders) -> None:
    async def ask() -> None:
        async with running(Fake(seconds=0.05), decoders, queue_length=5) as client:
            answers = await asyncio.gather(*(post(client, encode(GREY)) for _ in range(20)))
            assert sorted(each.status_code for each in answers) == [200] * 5 + [503] * 15
            busy = next(each for each in answers if each.status_code == 503)
            assert busy.headers["Retry-After"] == "1"
            assert busy.json()["reason"] == "busy"
            assert (await client.get("/health")).status_code == 200
            for _ in range(6):
                assert (await post(client, encode(GREY))).status_code == 200

    asyncio.run(ask())


def test_an_incomplete_upload_times_out_and_frees_its_place_in_the_queue(decoders: Decoders) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(5)

    async def ask() -> None:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        async with running(Fake(), decoders, upload_seconds=0.1, queue_length=1) as client:
            answer = await client.post("/predict", content=slow(), headers=kind)
            assert (answer.status_code, answer.json()["reason"]) == (408, "request_timeout")
            assert (await post(client, encode(GREY))).status_code == 200

    asyncio.run(ask())


def test_an_internal_error_fails_only_its_batch(decoders: Decoders) -> None:
    async def ask() -> None:
        async with running(Fake(), decoders) as client:
            assert (await post(client, encode(np.full((16, 16), 13, np.uint8)))).status_code == 500
            assert (await post(client, encode(GREY))).status_code == 200

    asyncio.run(ask())


def test_a_client_that_disconnects_does_not_affect_the_others(decoders: Decoders) -> None:
    async def ask() -> None:
        fake = Fake(seconds=0.05)
        async with running(fake, decoders) as client:
            tasks = [asyncio.create_task(post(client, encode(GREY))) for _ in range(8)]
            await asyncio.sleep(0.02)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(each, asyncio.CancelledError) for each in answers] == [True, False] * 4
            assert (await post(client, encode(GREY))).status_code == 200

    asyncio.run(ask())


def test_a_network_that_cannot_be_loaded_is_reported_and_health_is_never_ready(decoders: Decoders) -> None:
    told: list[Exception] = []

    def broken() -> Predictor:
        raise OSError("no such file")

    async def ask() -> None:
        options = make_serving()
        service = Service(broken, options, told.append, decoders)
        async with service.running():
            states = [service.state]
            with pytest.raises(OSError, match="no such file"):
                await service.predictor()
            states.append(service.state)
            assert states == ["loading", "failed"]
            answer = await httpx.AsyncClient(
                transport=httpx.ASGITransport(create_app(service, options)), base_url=BASE
            ).get("/health")
            assert (answer.status_code, answer.json()) == (503, {"status": "failed", "reason": "failed"})

    asyncio.run(ask())
    assert [str(each) for each in told] == ["no such file"]


def test_the_server_follows_its_openapi_description(tmp_path: Path, decoders: Decoders) -> None:
    options = make_serving()
    with serving(create_app(Service(Fake, options, no_failure, decoders), options)) as url:
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--seed=1"]
        # Bytes that are not an image match the schema of the description, and are still refused.
        command += ["--exclude-checks=positive_data_acceptance", "--max-examples=30"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert "Tested: 4" in done.stdout
