"""The page for people: a picture in, what the network says of it out, in two languages."""

import asyncio
import logging
from collections.abc import Callable
from importlib import resources
from typing import Literal

from fastapi import APIRouter, FastAPI, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chest_xray.core.options import InputError
from chest_xray.core.types import Array
from chest_xray.models.inference import Prediction
from chest_xray.serving.pictures import draw_heat, draw_phantom_png, show_picture
from chest_xray.serving.service import Service
from chest_xray.serving.speech import PACKAGE, Speech, read_style

logger = logging.getLogger(__name__)

Explain = Callable[[Array], Array]
PHANTOMS = {"healthy": "none", "diseased": "bacterial"}  # what the page calls them, and their aetiology
Kind = Literal["healthy", "diseased"]
LANGUAGES = ("en", "ru")


def add_page(app: FastAPI, service: Service, explain: Explain, data_source: str) -> None:
    """Add the page to the server: one address a language, and `/` leads to the first of them.

    The page sends the bytes of a file that its reader chose and gets HTML back. It takes neither paths nor addresses.

    Args:
        app: Of `create_app`.
        service: Answers.
        explain: Gives the evidence, float32 in [0, 1], of a prepared image, both of shape (height, width).
        data_source: What the network was trained on.
    """

    @app.get("/", include_in_schema=False)
    def lead_to_page() -> RedirectResponse:
        return RedirectResponse(f"/{service.options.language}/")

    @app.get("/favicon.ico", include_in_schema=False)
    def send_no_icon() -> Response:
        return Response(status_code=204)

    style, script = read_style(), resources.files(PACKAGE).joinpath("page.js").read_text(encoding="utf-8")

    @app.get("/page.css", include_in_schema=False)
    def send_style() -> Response:
        return Response(style, media_type="text/css")

    @app.get("/page.js", include_in_schema=False)
    def send_script() -> Response:
        return Response(script, media_type="text/javascript")

    for language in LANGUAGES:
        router = _build_router(service, explain, Speech(language, data_source))
        app.include_router(router, prefix=f"/{language}", include_in_schema=False)


def _build_router(service: Service, explain: Explain, speech: Speech) -> APIRouter:
    router, page = APIRouter(), speech.show_page(LANGUAGES)

    @router.get("/")
    def send_page() -> HTMLResponse:
        return HTMLResponse(page)

    @router.post("/answer")
    async def answer_file(file: UploadFile) -> HTMLResponse:
        return await _answer(await file.read(), service, explain, speech)

    @router.post("/phantom/{kind}")
    async def answer_phantom(kind: Kind) -> HTMLResponse:
        data = await asyncio.to_thread(draw_phantom_png, PHANTOMS[kind])
        return await _answer(data, service, explain, speech)

    @router.get("/about")
    async def describe_network() -> HTMLResponse:
        predictor = await service.predictor()
        return HTMLResponse(speech.show_about(predictor.contract, predictor.fingerprint))

    return router


async def _answer(data: bytes, service: Service, explain: Explain, speech: Speech) -> HTMLResponse:
    """Return the whole answer as HTML; an error of ours is logged, and told without its text."""
    try:
        predictor = await service.predictor()
        picture = _show(data, service)
        shown, (prediction, heat) = await asyncio.gather(picture, _judge(data, service, explain))
        url, width, height = shown or (None, 0, 0)
        pictures = {"picture": url, "heat": heat, "width": width, "height": height}
        return HTMLResponse(speech.show_result(prediction, predictor.contract, pictures))
    except Exception:
        logger.exception("The page could not answer")
        return HTMLResponse(speech.show_failure(), 500)


async def _show(data: bytes, service: Service) -> tuple[str, int, int] | None:
    """Return the picture for the eye; None where it cannot be shown, for which `_judge` has the reason."""
    predictor = await service.predictor()
    try:
        preparation, limits = predictor.preparation, predictor.limits
        return await service.decode(show_picture, data, preparation, limits["max_megapixels"])
    except InputError:
        return None


async def _judge(data: bytes, service: Service, explain: Explain) -> tuple[Prediction, str | None]:
    """Return what the network says, and the overlay where it says anything."""
    pixels = await service.read(data)
    if isinstance(pixels, Prediction):
        return pixels, None
    prediction = await service.score(pixels)
    if prediction.decision is None:
        return prediction, None
    return prediction, draw_heat(await service.compute(explain, pixels))
