"""The HTTP server: images in, one prediction each out; nothing is stored. Its documentation is made from OpenAPI."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any, Literal

import jinja2
from fastapi import Depends, FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from chest_xray import __version__
from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame
from chest_xray.models.batch import BatchSummary, summarise_batch
from chest_xray.models.contract import Contract
from chest_xray.models.inference import Prediction, Predictor
from chest_xray.serving.guard import HEADERS, Guard
from chest_xray.serving.options import Serving
from chest_xray.serving.page_contents import PACKAGE, choose_language, describe_reason, read_style
from chest_xray.serving.service import Service

# Refusals of files that contain no readable image. Other refusals are regular answers.
STATUS = {
    **dict.fromkeys(("empty", "not_an_image", "truncated", "unreadable", "undecodable", "too_slow"), 422),
    "too_large": 413,
    "unsupported_dicom": 415,
    "unsupported_image": 415,
}
DESCRIPTION = "Pneumonia in chest radiographs of children. For teaching and research; not a medical device."


class Answer(BaseModel):
    """The prediction for one image, or the reason for its refusal."""

    probability: Annotated[float | None, Field(ge=0, le=1, description="of pneumonia, calibrated; null if refused")]
    decision: Annotated[Literal["NORMAL", "PNEUMONIA"] | None, Field(description="null if refused")]
    refer: Annotated[
        bool | None,
        Field(description="whether a human should decide: the threshold is near; null if refused, or without a band"),
    ]
    reason: Annotated[str | None, Field(description="why the image was refused, as a code; null otherwise")]
    detail: Annotated[str, Field(description="the reason with the values received and expected, in English")]
    message: Annotated[str, Field(description="the reason as a sentence in the language asked for; empty if none")]
    ood_score: Annotated[
        float | None,
        Field(ge=0, le=1, description="probability that this is no upright frontal chest; null if not prepared"),
    ]
    warnings: Annotated[str, Field(description="codes separated by spaces: trimmed, turned, adult; empty if none")] = ""

    model: Annotated[str, Field(description="fingerprint of the network")]
    threshold: Annotated[float, Field(ge=0, le=1, description="from which a probability is PNEUMONIA")]
    expected_prevalence: Annotated[float, Field(gt=0, lt=1, description="that probability and threshold assume")]
    intended_use: Annotated[str, Field(description="the patients and the purpose that the network is meant for")]


class Answers(BaseModel):
    """One answer per file, in the order of the files, and a summary of all of them."""

    answers: Annotated[list[Answer], Field(description="as of /predict")]
    batch: Annotated[BatchSummary, Field(description="counts, refusals by reason, and whether the batch is unusual")]


class Problem(BaseModel):
    """Why a request was not answered."""

    reason: Annotated[str, Field(description="as a code")]
    detail: Annotated[str, Field(description="with the values received and expected, in English")]
    message: Annotated[str, Field(description="as a sentence in the language asked for")]


class Health(BaseModel):
    """Whether the network is ready."""

    status: Literal["ready", "loading", "failed"]
    reason: Annotated[str | None, Field(description="the status, unless it is ready")]


class ModelFacts(BaseModel):
    """The network that answers: its input, output and intended use."""

    fingerprint: Annotated[str, Field(description="the first digits of the SHA-256 of its file")]
    contract: Annotated[Contract, Field(description="input, output, operating point, limits and training data")]


def _get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _get_language(
    request: Request,
    language: Annotated[str | None, Query(description="of `message`: en or ru; else that of Accept-Language")] = None,  # noqa: ARG001
) -> str:
    return choose_language(request, _get_service(request).options.language)


CurrentService = Annotated[Service, Depends(_get_service)]
Language = Annotated[str, Depends(_get_language)]
TurnUpright = Annotated[bool, Query(description="turn an image that lies or is upside down, instead of refusing it")]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is not a multipart form, or names another host."},
    403: {"model": Problem, "description": "The request comes from a page of another site."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The upload or the image is too large."},
    415: {"model": Problem, "description": "The DICOM file does not contain a single image of a supported kind."},
    422: {"model": Problem, "description": "There is no file, there are too many, or a file contains no image."},
    500: {"model": Problem, "description": "The server failed."},
    503: {"model": Problem, "description": "Too many requests at once; see Retry-After."},
}
NOT_READY = {"model": Health, "description": "The network is loading, or failed to load."}


async def predict(
    file: UploadFile, service: CurrentService, request: Request, language: Language, turn_upright: TurnUpright = False
) -> Answer:
    """Classify one image: JPEG, PNG or DICOM, recognised by its content, not by its name or declared type.

    An image that was read and then refused, for example because it is unlike radiographs, is answered with status 200,
    a `reason` and no decision.
    """
    num_files = len((await request.form()).getlist("file"))
    if num_files > 1:
        detail = f"Received {num_files} fields `file`; expected one. Send several to /predict/batch, each as `files`."
        raise HTTPException(422, {"reason": "invalid_request", "detail": detail})
    prediction = await service.predict(await file.read(), turn_upright)
    if status := STATUS.get(prediction.reason or ""):
        raise HTTPException(status, {"reason": prediction.reason, "detail": prediction.detail})
    return _to_answer(prediction, await service.predictor(), language)


async def health(service: CurrentService) -> JSONResponse:
    """Check whether the network is ready."""
    is_ready = service.state == "ready"
    return JSONResponse(
        {"status": service.state, "reason": None if is_ready else service.state}, 200 if is_ready else 503
    )


async def model(service: CurrentService) -> ModelFacts:
    """Return the contract of the network."""
    predictor = await service.predictor()
    return ModelFacts(fingerprint=predictor.fingerprint, contract=predictor.contract)


def create_app(service: Service, options: Serving) -> FastAPI:
    """Return the application, which describes itself at `/openapi.json`, and for people at `/docs`.

    The page at `/docs` is not one of FastAPI's, because those load scripts from another host.
    """
    app = FastAPI(
        title="chest-xray",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
        exception_handlers={
            AnyHTTPException: _format_problem,
            RequestValidationError: _format_validation_error,
            Exception: _format_internal_error,
        },
    )
    app.state.service = service
    app.post("/predict", responses=PROBLEMS)(predict)
    app.get("/health", responses={503: NOT_READY})(health)
    app.get("/model")(model)

    @app.post("/predict/batch", responses=PROBLEMS)
    async def predict_batch(
        files: Annotated[list[UploadFile], File(min_length=1, max_length=options.max_files)],
        service: CurrentService,
        language: Language,
        turn_upright: TurnUpright = False,
    ) -> Answers:
        """Classify several images independently: one that cannot be read has a `reason` and no decision."""
        images, predictor = [await file.read() for file in files], await service.predictor()
        predictions = await asyncio.gather(*(service.predict(image, turn_upright) for image in images))
        return Answers(
            answers=[_to_answer(prediction, predictor, language) for prediction in predictions],
            batch=summarise_batch(_tabulate(predictions), predictor.contract, predictor.fingerprint),
        )

    _add_docs(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=options.max_upload_bytes)
    app.add_middleware(Guard, options=options)
    return app


def _add_docs(app: FastAPI) -> None:
    """Add `/docs` with its style sheet, and `/`, which leads there unless `app.state.home` is changed."""
    app.state.home = "/docs"
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, ""), autoescape=True, undefined=jinja2.StrictUndefined
    )

    @app.get("/docs", include_in_schema=False)
    def send_docs() -> HTMLResponse:
        openapi = app.openapi()
        operations = list(_list_operations(openapi))
        return HTMLResponse(templates.get_template("docs.html").render(info=openapi["info"], operations=operations))

    @app.get("/page.css", include_in_schema=False)
    def send_style() -> Response:
        return Response(read_style(), media_type="text/css")

    @app.get("/", include_in_schema=False)
    def redirect_home() -> RedirectResponse:
        return RedirectResponse(app.state.home)


def _list_operations(openapi: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the operations of an OpenAPI description.

    Each has `method`, `path` and `description`; `form_fields` (names of the fields of its form), `answer_fields` (name
    and description of each field of its answer) and `statuses` (code and description of each other answer).
    """
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            form = _find_schema(openapi, operation.get("requestBody", {})).get("properties", {})
            responses = operation["responses"]
            answer = _find_schema(openapi, responses["200"]).get("properties", {})
            yield {
                "method": method.upper(),
                "path": path,
                "description": operation["description"],
                "form_fields": list(form),
                "answer_fields": [(name, field.get("description", "")) for name, field in answer.items()],
                "statuses": [(code, response["description"]) for code, response in responses.items() if code != "200"],
            }


def _find_schema(openapi: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return the named schema that the body of a request or an answer refers to; empty if there is none."""
    content: dict[str, Any] = next(iter(body.get("content", {}).values()), {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema: dict[str, Any] = openapi.get("components", {}).get("schemas", {}).get(name, {})
    return schema


def _to_answer(prediction: Prediction, predictor: Predictor, language: str) -> Answer:
    message = describe_reason(prediction.reason, language)
    return Answer.model_validate({**prediction._asdict(), **predictor.describe_use(), "message": message})


def _tabulate(predictions: list[Prediction]) -> DataFrame:
    return pd.DataFrame(predictions, columns=Prediction._fields)


def _describe_problem(request: Request, reason: str, detail: str) -> dict[str, str]:
    language = choose_language(request, _get_service(request).options.language)
    return {"reason": reason, "detail": detail, "message": describe_reason(reason, language)}


async def _format_problem(request: Request, error: AnyHTTPException) -> JSONResponse:
    problem: Any = error.detail
    if not isinstance(problem, dict):
        phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        reason = "too_large" if error.status_code == 413 else phrase  # Python 3.13 changed the phrase of 413.
        problem = {"reason": reason, "detail": str(error.detail)}
    return JSONResponse(_describe_problem(request, **problem), error.status_code, error.headers)


async def _format_internal_error(request: Request, _error: Exception) -> JSONResponse:
    """Return a general message: the error itself is logged and not shown."""
    detail = "The server failed on this request; its log has the error. Try again, or report the file."
    return JSONResponse(_describe_problem(request, "internal_error", detail), 500, HEADERS)


async def _format_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return JSONResponse(_describe_problem(request, "invalid_request", f"{problems}. Send a multipart form."), 422)
