"""Makes Gradio's own words ("Drop File Here") follow the language of the page rather than that of the browser."""

from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio asks the browser before it runs any script that it was given: this one has to stand before its own.
SCRIPT = """<script>
for (const [name, value] of [["language", "{0}"], ["languages", ["{0}"]]])
  Object.defineProperty(navigator, name, {{get: () => value}});
</script>"""


class SpeakLanguage:
    """Puts a script at the head of the pages of some paths.

    Args:
        app: Gives the pages.
        languages: From the path of a page to its language.
    """

    def __init__(self, app: ASGIApp, languages: dict[str, str]):
        self._app, self._languages = app, languages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the script in it."""
        language = self._languages.get(scope.get("path", "")) if scope["type"] == "http" else None
        if language is None:
            await self._app(scope, receive, send)
        else:
            plain = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
            await self._app({**scope, "headers": plain}, receive, _Insertion(send, language).send)


class _Insertion:
    """Holds an answer back until it is whole, and changes it where it is a page."""

    def __init__(self, send: Send, language: str):
        self._send, self._language = send, language
        self._start: dict[str, Any] = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        if Headers(scope=self._start).get("content-type", "").startswith("text/html"):
            self._insert()
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})

    def _insert(self) -> None:
        head = b"<head>" + SCRIPT.format(self._language).encode()
        language = f'lang="{self._language}"'.encode()
        self._body = self._body.replace(b"<head>", head, 1).replace(b'lang="en"', language, 1)
        MutableHeaders(scope=self._start)["content-length"] = str(len(self._body))
