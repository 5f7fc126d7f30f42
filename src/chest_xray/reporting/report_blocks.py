"""What a page is built from, as plain data: the templates say how each looks."""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from chest_xray.core.types import DataFrame
from chest_xray.reporting.i18n import Finding, say, write_number

MOST_ROWS = 100
EMPTY = "\N{EN DASH}"
LARGE = 300_000  # bytes from which a PNG is packed again; greys of radiographs hardly compress in one
FINE = 90  # quality of WebP, of 100


class Figure(NamedTuple):
    """A picture inside the page, with its size in pixels so that nothing moves while it loads."""

    title: str
    caption: str
    alt: str
    source: str
    width: int
    height: int
    folded: bool = False
    kind: str = "figure"


class Table(NamedTuple):
    """Heads and rows of text; `numbers` says which columns hold numbers, `hidden_rows` how many were left out."""

    caption: str
    label: str
    heads: list[str]
    rows: list[list[str]]
    numbers: list[bool]
    hidden_rows: int = 0
    folded: bool = False
    kind: str = "table"


class Sentences(NamedTuple):
    """Sentences one below the other."""

    items: list[str]
    kind: str = "sentences"


class Verdicts(NamedTuple):
    """Sentences with what each is about, and its tone: good, unsure or bad."""

    items: list[tuple[str, str, str]]
    kind: str = "verdicts"


class Terms(NamedTuple):
    """Words and what they mean."""

    items: list[tuple[str, str]]
    kind: str = "terms"


class Section(NamedTuple):
    """A part of the page that has a heading and can be linked to."""

    anchor: str
    title: str
    blocks: list[Any]
    sections: list[Any] = []  # noqa: RUF012  # of its own kind; nobody appends to it


def make_figure(png: bytes, name: str, run: str, words: Mapping[str, Any], *, folded: bool = False) -> Figure:
    """Build a picture of the page.

    Args:
        png: The file.
        name: Its name in the catalog; `figures` in the words says what it shows.
        run: Title of the run that it is of, or nothing.
        words: Of the language.
        folded: Whether a reader has to unfold it.
    """
    from PIL import Image

    said = words["figures"][name]
    title = f"{said['title']}: {run}" if run else said["title"]
    with Image.open(io.BytesIO(png)) as picture:
        source = _pack(picture, png)
        return Figure(title, said["caption"], said["alt"], source, *picture.size, folded)


def _pack(picture: Any, png: bytes) -> str:
    """A data address; a picture that is large as PNG becomes WebP."""
    kind = "png"
    if len(png) > LARGE:
        packed = io.BytesIO()
        picture.convert("RGB").save(packed, "WEBP", quality=FINE, method=6)
        kind, png = "webp", min(packed.getvalue(), png, key=len)
    return f"data:image/{kind};base64,{base64.b64encode(png).decode('ascii')}"


def make_table(frame: DataFrame, name: str, run: str, words: Mapping[str, Any], *, folded: bool = False) -> Table:
    """Format a table as text.

    Args:
        frame: At most a hundred rows of it are shown.
        name: Its name in the catalog; `tables` in the words says what it holds.
        run: Title of the run that it is of, or nothing.
        words: Of the language; `columns` and `cells` translate what they know.
        folded: Whether a reader has to unfold it.
    """
    caption = words["tables"][name]
    heads = [words["columns"].get(column, str(column).replace("_", " ")) for column in frame.columns]
    shown = frame.head(MOST_ROWS).to_dict("records")
    rows = [[write_cell(value, words) for value in record.values()] for record in shown]
    numbers = [not any(isinstance(record[column], str) for record in shown) for column in frame.columns]
    label = f"{caption} ({run})" if run else caption
    return Table(caption, label, heads, rows, numbers, max(0, len(frame) - MOST_ROWS), folded)


def write_cell(value: Any, words: Mapping[str, Any]) -> str:
    """Write one cell: a figure of three decimals, a count, a figure with interval and n, or a word of the language."""
    if isinstance(value, dict):
        return _write_interval(value, words)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return EMPTY
    if isinstance(value, bool):
        return str(words["cells"]["yes" if value else "no"])
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) > 1
        return write_number(value, ".0f" if whole else ".3f" if abs(value) < 10 else ".1f", words)
    return str(words["cells"].get(value, value))


def _write_interval(measured: Mapping[str, Any], words: Mapping[str, Any]) -> str:
    text = write_cell(measured["value"], words)
    bounds = [write_cell(measured.get(name), words) for name in ("low", "high")]
    if EMPTY not in bounds:
        text += f" [{EMPTY.join(bounds)}]"
    return text + (f", n = {measured['n']:.0f}" if measured.get("n") is not None else "")


def make_sentences(findings: Iterable[Finding], words: Mapping[str, Any]) -> Sentences:
    """Format findings as a list of sentences."""
    return Sentences([say(finding, words) for finding in findings])
