"""The page for people: a picture in, what the network says of it out, in two languages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import gradio
from fastapi import FastAPI
from fastapi.responses import RedirectResponse, Response

from chest_xray.predictor import Prediction
from chest_xray.serving.pictures import draw_heat, draw_phantom_png, show_picture
from chest_xray.serving.service import Service
from chest_xray.serving.speaking import SpeakLanguage
from chest_xray.serving.speech import Speech, read_style
from chest_xray.types import Array

logger = logging.getLogger(__name__)

Explain = Callable[[Array], Array]

LANGUAGES = ("en", "ru")
KEPT = 60  # seconds for which Gradio keeps an upload, in a folder that goes with the server
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]  # None of them is fetched.


def mount_page(app: FastAPI, service: Service, explain: Explain, data_source: str) -> None:
    """Add the page to the server: one address a language, and `/` leads to the first of them.

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
    def give_icon() -> Response:
        return Response(status_code=204)

    @app.get("/manifest.json", include_in_schema=False)
    def give_manifest() -> dict[str, str]:  # Gradio's page asks for it.
        return {"name": "chest-xray"}

    app.add_middleware(SpeakLanguage, languages={f"/{language}/": language for language in LANGUAGES})
    style = read_style()
    for language in LANGUAGES:
        speech = Speech(language, data_source)
        gradio.mount_gradio_app(
            app,
            build_page(service, explain, speech),
            f"/{language}",
            **{"footer_links": [], "run_history": False, "ssr_mode": False, "pwa": False, "mcp_server": False},
            **{"max_file_size": service.options.max_upload_bytes, "show_error": False, "css": style},
            theme=gradio.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"]),
        )


def build_page(service: Service, explain: Explain, speech: Speech) -> gradio.Blocks:
    """Lay the page out in one language.

    Args:
        service: Answers.
        explain: See `mount_page`.
        speech: The language.
    """
    words = speech.words

    async def answer(data: bytes | None) -> str:
        return await _answer(data, service, explain, speech) if data else _quiet(words["waiting"])

    async def about() -> str:
        predictor = await service.predictor()
        return speech.show_about(predictor.contract, predictor.fingerprint)

    with gradio.Blocks(title=words["title"], analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gradio.HTML(_head(speech))
        with gradio.Row(elem_id="ask"):
            with gradio.Column(scale=3, min_width=280):
                upload = gradio.File(label=words["drop"], type="binary", height=150, elem_id="upload")
            with gradio.Column(scale=2, min_width=280):
                gradio.HTML(_quiet(words["phantom_note"]))
                with gradio.Row():
                    healthy = gradio.Button(words["phantom_healthy"], size="sm", min_width=130)
                    diseased = gradio.Button(words["phantom_diseased"], size="sm", min_width=130)
        result = gradio.HTML(_quiet(words["waiting"]), elem_id="result")
        with gradio.Accordion(words["about"], open=False):
            facts = gradio.HTML(_quiet(words["loading"]))
        quietly: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        upload.change(answer, upload, result, **quietly)
        for button, aetiology in ((healthy, "none"), (diseased, "bacterial")):
            button.click(_phantom_answer(answer, aetiology), None, result, **quietly)
        page.load(about, None, facts, **quietly)
    page.queue(max_size=service.options.queue_length, default_concurrency_limit=service.options.max_batch_size)
    return page


def _phantom_answer(answer: Callable[[bytes], Awaitable[str]], aetiology: str) -> Callable[[], Awaitable[str]]:
    async def answer_phantom() -> str:
        return await answer(await asyncio.to_thread(draw_phantom_png, aetiology))

    return answer_phantom


async def _answer(data: bytes, service: Service, explain: Explain, speech: Speech) -> str:
    """Give the whole answer as HTML; an error of ours is logged, and told without its text."""
    try:
        predictor = await service.predictor()
        picture = service.decode(show_picture, data, predictor.contract["input"]["preparation"])
        shown, (prediction, heat) = await asyncio.gather(picture, _judge(data, service, explain))
        url, width, height = shown or (None, 0, 0)
        pictures = {"picture": url, "heat": heat, "width": width, "height": height}
        return speech.show_result(prediction, predictor.contract, pictures)
    except Exception:
        logger.exception("The page could not answer")
        return speech.show_failure()


async def _judge(data: bytes, service: Service, explain: Explain) -> tuple[Prediction, str | None]:
    """Give what the network says, and the overlay where it says anything."""
    pixels = await service.read(data)
    if isinstance(pixels, Prediction):
        return pixels, None
    prediction = await service.score(pixels)
    if prediction.decision is None:
        return prediction, None
    return prediction, draw_heat(await service.compute(explain, pixels))


def _head(speech: Speech) -> str:
    words = speech.words
    links = [
        f'<a href="../{other}/" lang="{other}">{Speech(other, "").words["language_name"]}</a>'
        for other in LANGUAGES
        if other != speech.language
    ]
    return (
        f'<p class="warning" role="note">{words["warning"]}</p>'
        f'<div class="head"><h1>{words["title"]}</h1>{"".join(links)}</div>'
        f'<p class="source">{speech.say("source", data_source=speech.data_source)}</p>'
    )


def _quiet(text: str) -> str:
    return f'<p class="note">{text}</p>'
