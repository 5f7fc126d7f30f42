"""The HTTP server: one image or several in, one answer an image out; nothing is kept."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, File, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from chest_xray import __version__
from chest_xray.models.contract import Contract
from chest_xray.models.inference import Prediction
from chest_xray.serving.guard import Guard
from chest_xray.serving.options import LOOPBACK, Serving
from chest_xray.serving.service import Service

# Reasons why there is no picture to judge; any other is told of a picture that was read.
STATUS = {
    **dict.fromkeys(("empty", "not_an_image", "truncated", "unreadable", "undecodable", "too_slow"), 422),
    **{"too_large": 413, "unsupported_dicom": 415, "unsupported_image": 415},
}
DESCRIPTION = "Pneumonia in chest radiographs of children. For teaching and research; not a medical device."

router = APIRouter()


class Answer(BaseModel):
    """What is said of one image, or why nothing is."""

    probability: Annotated[float | None, Field(ge=0, le=1, description="of pneumonia, calibrated; null if refused")]
    decision: Annotated[Literal["NORMAL", "PNEUMONIA"] | None, Field(description="null if refused")]
    reason: Annotated[str | None, Field(description="why the image was refused, for programs; null if it was not")]
    detail: Annotated[str, Field(description="the same in a sentence")]
    distance: Annotated[float | None, Field(description="to the images that the network was trained on")]


class Answers(BaseModel):
    """One answer a file, in the order of the files."""

    answers: list[Answer]


class Problem(BaseModel):
    """Why a request was not answered."""

    reason: Annotated[str, Field(description="for programs")]
    detail: Annotated[str, Field(description="the same in a sentence")]


class Health(BaseModel):
    """Whether the network is ready."""

    status: Literal["ready", "loading", "failed"]


class ModelFacts(BaseModel):
    """Which network answers, and what it takes, gives and is meant for."""

    fingerprint: Annotated[str, Field(description="the first digits of the SHA-256 of its file")]
    contract: Contract


def get_service(request: Request) -> Service:
    """Return routes what answers."""
    service: Service = request.app.state.service
    return service


Answering = Annotated[Service, Depends(get_service)]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is no multipart form."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The upload or the picture is too large."},
    415: {"model": Problem, "description": "A DICOM file without a single picture of a kind that is read."},
    422: {"model": Problem, "description": "There is no file, or it holds no picture."},
    403: {"model": Problem, "description": "A page of another site asks."},
    503: {"model": Problem, "description": "Too many requests at once; see Retry-After."},
}


@router.post("/predict", responses=PROBLEMS)
async def predict(file: UploadFile, service: Answering) -> Answer:
    """Answer for one image: JPEG, PNG or DICOM, told by its content, whatever its name or declared type.

    A picture that was read and then refused (too unlike radiographs, for example) is answered with 200, `reason` and no
    decision.
    """
    prediction = await service.predict(await file.read())
    if status := STATUS.get(prediction.reason or ""):
        raise HTTPException(status, {"reason": prediction.reason, "detail": prediction.detail})
    return _answer(prediction)


@router.get(
    "/health", responses={503: {"model": Health, "description": "The network is being loaded, or could not be."}}
)
async def health(service: Answering) -> JSONResponse:
    """Check whether the network is ready."""
    return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)


@router.get("/model")
async def model(service: Answering) -> ModelFacts:
    """Return the contract of the network that answers."""
    predictor = await service.predictor()
    return ModelFacts(fingerprint=predictor.fingerprint, contract=predictor.contract)


def build_batch_router(most: int) -> APIRouter:
    """Build the route for several images, whose description says how many.

    Args:
        most: Files in one request.
    """
    batch = APIRouter()

    @batch.post("/predict/batch", responses=PROBLEMS)
    async def predict_batch(
        files: Annotated[list[UploadFile], File(min_length=1, max_length=most)], service: Answering
    ) -> Answers:
        """Answer for several images, each for itself: one that cannot be read has `reason` and no decision."""
        data = [await file.read() for file in files]
        return Answers(answers=[_answer(each) for each in await asyncio.gather(*map(service.predict, data))])

    return batch


def create_app(service: Service, options: Serving) -> FastAPI:
    """Build the server.

    Args:
        service: Answers; runs as long as the server does.
        options: Limits.

    Returns:
        The application; its OpenAPI description is at `/openapi.json`. There is no page of documentation: those that
        FastAPI offers load scripts from another host.
    """
    app = FastAPI(
        title="chest-xray",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
        exception_handlers={AnyHTTPException: _format_problem, RequestValidationError: _format_validation_error},
    )
    app.state.service = service
    app.include_router(router)
    app.include_router(build_batch_router(options.max_files))
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=options.max_upload_bytes)
    app.add_middleware(Guard, options=options)
    if options.host in LOOPBACK:  # A page of another site must not reach this one under a name of its own.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    return app


def _answer(prediction: Prediction) -> Answer:
    return Answer.model_validate(prediction._asdict())


async def _format_problem(_request: Request, error: AnyHTTPException) -> JSONResponse:
    problem: Any = error.detail
    if not isinstance(problem, dict):
        phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        reason = "too_large" if error.status_code == 413 else phrase  # Python 3.13 names it otherwise than 3.11.
        problem = {"reason": reason, "detail": str(error.detail)}
    return JSONResponse(problem, error.status_code, error.headers)


async def _format_validation_error(_request: Request, error: RequestValidationError) -> JSONResponse:
    found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return JSONResponse({"reason": "invalid_request", "detail": f"{found}. Send a multipart form."}, 422)
