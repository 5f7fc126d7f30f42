"""The documentation of the server for people, made from its OpenAPI description; it loads only its own style sheet."""

from collections.abc import Iterator
from typing import Any

import jinja2
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chest_xray.serving.messages import PACKAGE, read_style

METHODS = ("get", "post")


def add_docs(app: FastAPI) -> None:
    """Add `/docs` with its style sheet, and `/`, which leads there unless `app.state.home` is changed."""
    app.state.home = "/docs"
    router = APIRouter(include_in_schema=False)
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, ""), autoescape=True, undefined=jinja2.StrictUndefined
    )

    @router.get("/docs")
    def send_docs() -> HTMLResponse:
        described = app.openapi()
        operations = list(list_operations(described))
        return HTMLResponse(templates.get_template("docs.html").render(info=described["info"], operations=operations))

    @router.get("/page.css")
    def send_style() -> Response:
        return Response(read_style(), media_type="text/css")

    @router.get("/")
    def redirect_home() -> RedirectResponse:
        return RedirectResponse(app.state.home)

    app.include_router(router)


def list_operations(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the operations of an OpenAPI description.

    Each has `method`, `path` and `description`; `sends` (names of the fields of its form), `returns` (name and
    description of each field of its answer) and `statuses` (code and description of each other answer).
    """
    for path, methods in described["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                sent = _find_schema(described, operation.get("requestBody", {}))
                found = _find_schema(described, operation["responses"]["200"])
                yield {
                    "method": method.upper(),
                    "path": path,
                    "description": operation["description"],
                    "sends": list(sent.get("properties", {})),
                    "returns": [
                        (name, field.get("description", "")) for name, field in found.get("properties", {}).items()
                    ],
                    "statuses": [
                        (code, status["description"])
                        for code, status in operation["responses"].items()
                        if code != "200"
                    ],
                }


def _find_schema(described: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a request or an answer, which refers to a named one; empty if there is none."""
    content: dict[str, Any] = next(iter(body.get("content", {}).values()), {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema: dict[str, Any] = described.get("components", {}).get("schemas", {}).get(name, {})
    return schema
