"""The blocks of the report page as plain data; the templates render them."""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from chest_xray.core.types import DataFrame
from chest_xray.reporting.i18n import Finding, format_number, translate

MAX_ROWS = 100
EMPTY = "\N{EN DASH}"
LARGE = 300_000  # bytes from which a PNG becomes WebP: PNG hardly compresses radiographs
QUALITY = 90  # of WebP, at most 100


class Figure(NamedTuple):
    """A figure as a data URL, with its size in pixels so that the layout is stable while it loads."""

    title: str
    caption: str
    alt: str
    source: str
    width: int
    height: int
    folded: bool = False
    kind: str = "figure"


class Table(NamedTuple):
    """A table of text; `numbers` marks the numeric columns, `hidden_rows` counts omitted rows."""

    caption: str
    label: str
    heads: list[str]
    rows: list[list[str]]
    numbers: list[bool]
    hidden_rows: int = 0
    folded: bool = False
    kind: str = "table"


class Listing(NamedTuple):
    """A list: of sentences; of verdicts, each with topic, tone and sentence; or of terms with their meanings."""

    items: list[Any]
    kind: Literal["sentences", "verdicts", "terms"] = "sentences"


class Section(NamedTuple):
    """A part of the page with a heading and a link target."""

    anchor: str
    title: str
    blocks: list[Any]
    sections: list[Any] = []  # noqa: RUF012  # of Section; nothing appends to it


def make_figure(png: bytes, name: str, run: str, messages: Mapping[str, Any], *, folded: bool = False) -> Figure:
    """Build a figure from a PNG file and its texts below `figures` and `name`; `run` is added to the title."""
    from PIL import Image

    texts, kind = messages["figures"][name], "png"
    with Image.open(io.BytesIO(png)) as picture:
        size = picture.size
        if len(png) > LARGE:
            packed = io.BytesIO()
            picture.convert("RGB").save(packed, "WEBP", quality=QUALITY, method=6)
            kind, png = "webp", min(packed.getvalue(), png, key=len)
    source = f"data:image/{kind};base64,{base64.b64encode(png).decode('ascii')}"
    title = f"{texts['title']}: {run}" if run else texts["title"]
    return Figure(title, texts["caption"], texts["alt"], source, *size, folded)


def make_table(frame: DataFrame, name: str, run: str, messages: Mapping[str, Any], *, folded: bool = False) -> Table:
    """Format the first `MAX_ROWS` rows of a table as text; its caption is below `tables` and `name`.

    Column names and cells are translated where `columns` and `cells` have a text for them.
    """
    caption = messages["tables"][name]
    heads = [messages["columns"].get(column, str(column).replace("_", " ")) for column in frame.columns]
    shown = frame.head(MAX_ROWS).to_dict("records")
    rows = [[format_cell(value, messages) for value in record.values()] for record in shown]
    numbers = [not any(isinstance(record[column], str) for record in shown) for column in frame.columns]
    label = f"{caption} ({run})" if run else caption
    return Table(caption, label, heads, rows, numbers, max(0, len(frame) - MAX_ROWS), folded)


def format_cell(value: Any, messages: Mapping[str, Any]) -> str:
    """Return a cell as text: a number, a value with interval and n, a dash if missing, or a translated word."""
    if isinstance(value, dict):
        text, low, high = (format_cell(value.get(name), messages) for name in ("value", "low", "high"))
        text += f" [{low}{EMPTY}{high}]" if EMPTY not in (low, high) else ""
        return text + (f", n = {value['n']:.0f}" if value.get("n") is not None else "")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return EMPTY
    if isinstance(value, bool):
        return str(messages["cells"]["yes" if value else "no"])
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) > 1
        return format_number(value, ".0f" if is_whole else ".3f" if abs(value) < 10 else ".1f", messages)
    return str(messages["cells"].get(value, value))


def make_sentences(findings: Iterable[Finding], messages: Mapping[str, Any]) -> Listing:
    """Build the list of the sentences of findings."""
    return Listing([translate(finding, messages) for finding in findings])
