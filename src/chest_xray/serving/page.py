"""The page where people upload an image and read the answer, in two languages."""

import asyncio
import logging
from importlib import resources

from fastapi import APIRouter, FastAPI, HTTPException, UploadFile
from fastapi.responses import HTMLResponse, Response

from chest_xray.core.types import InputError
from chest_xray.images.corruptions import locate_evidence, scale_evidence
from chest_xray.models.inference import TURNED, Prediction
from chest_xray.serving.page_contents import (
    LANGUAGES,
    PACKAGE,
    Background,
    Label,
    Picture,
    Renderer,
    Samples,
    draw_heat,
    show_picture,
)
from chest_xray.serving.service import Service

logger = logging.getLogger(__name__)


def add_page(app: FastAPI, service: Service, background: Background) -> None:
    """Add the page to the server, at one address a language.

    It receives the bytes of files or the label of a sample, never paths or addresses, and returns HTML.
    """
    app.state.home = f"/{service.options.language}/"
    script = resources.files(PACKAGE).joinpath("page.js").read_text(encoding="utf-8")
    router = APIRouter(include_in_schema=False)

    @router.get("/favicon.ico")
    def send_no_icon() -> Response:
        return Response(status_code=204)

    @router.get("/page.js")
    def send_script() -> Response:
        return Response(script, media_type="text/javascript")

    app.include_router(router)
    for language in LANGUAGES:
        page_router = _build_router(service, Renderer(language, background), background.samples)
        app.include_router(page_router, prefix=f"/{language}", include_in_schema=False)


def _build_router(service: Service, renderer: Renderer, samples: Samples) -> APIRouter:
    router, page = APIRouter(), renderer.render_page(LANGUAGES)

    @router.get("/")
    def send_page() -> HTMLResponse:
        return HTMLResponse(page)

    @router.post("/answer")
    async def answer_file(file: UploadFile) -> HTMLResponse:
        return await _answer(await file.read(), service, renderer)

    @router.post("/sample/{label}")
    async def answer_sample(label: Label) -> HTMLResponse:
        if samples.kind == "none":
            raise HTTPException(404, "this network has no samples")
        data = await asyncio.to_thread(samples.draw, label)
        return await _answer(data, service, renderer, label)

    @router.get("/about")
    async def describe_network() -> HTMLResponse:
        predictor = await service.predictor()
        return HTMLResponse(renderer.render_about(predictor.contract, predictor.fingerprint))

    return router


async def _answer(data: bytes, service: Service, renderer: Renderer, label: Label | None = None) -> HTMLResponse:
    """Return the answer as HTML, with the label of a sample; an internal error is logged and not shown."""
    try:
        contract = (await service.predictor()).contract
        picture, (prediction, heat) = await asyncio.gather(_draw(data, service), _predict(data, service))
        url, width, height = picture or (None, 0, 0)
        pictures = {"picture": url, "heat": heat, "width": width, "height": height, "label": label}
        return HTMLResponse(renderer.render_result(prediction, contract, pictures))
    except Exception:
        logger.exception("The page could not answer")
        return HTMLResponse(renderer.render_failure(), 500)


async def _draw(data: bytes, service: Service) -> Picture | None:
    """Return the image for display; None if it cannot be shown, for which `_predict` has the reason."""
    predictor = await service.predictor()
    try:
        return await service.decode(show_picture, data, predictor.preparation, predictor.limits)
    except InputError:
        return None


async def _predict(data: bytes, service: Service) -> tuple[Prediction, str | None]:
    """Return the prediction, and the overlay unless the image was refused."""
    image = await service.read(data)
    if isinstance(image, Prediction):
        return image, None
    prediction = await service.score(image)
    if prediction.decision is None or TURNED in prediction.warnings:  # The picture is shown as it was uploaded.
        return prediction, None
    compute_logits = (await service.predictor()).compute_logits
    falls = await service.compute(locate_evidence, compute_logits, image.pixels)
    return prediction, draw_heat(scale_evidence(falls))
