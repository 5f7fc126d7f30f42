"""The blocks of the report page as plain data; the templates render them."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from chest_xray.core.types import DataFrame
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.results import Decisions, Estimate
from chest_xray.reporting.i18n import Finding, format_number, translate

MAX_ROWS = 100
MISSING = "\N{EN DASH}"  # printed for a missing value
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
    css_class: str = ""
    kind: str = "table"


class Listing(NamedTuple):
    """A list of sentences, of verdicts (topic, tone, sentence), terms (term, meaning) or tiles (name, value, text)."""

    items: list[Any]
    kind: Literal["sentences", "verdicts", "terms", "tiles"] = "sentences"


class Case(NamedTuple):
    """Pictures of one image as data URLs of equal size in pixels: the image alone, and with its Grad-CAM map."""

    caption: str
    sources: list[str]
    width: int
    height: int


class Gallery(NamedTuple):
    """Cases with a title and a caption; all but the first `num_open` are folded."""

    title: str
    caption: str
    cases: list[Case]
    num_open: int
    css_class: str = "pairs"
    kind: str = "gallery"


class Group(NamedTuple):
    """Blocks side by side, on a narrow screen one below the other; or as one column of such a row."""

    blocks: list[Any]
    kind: Literal["row", "column"]


class Section(NamedTuple):
    """A part of the page with a heading and a link target; a `folded` section is collapsed at first."""

    anchor: str
    title: str
    blocks: list[Any]
    sections: list[Any] = []  # noqa: RUF012  # of Section; nothing appends to it
    folded: bool = False


def make_figure(png: bytes, name: str, run: str, messages: Mapping[str, Any], *, folded: bool = False) -> Figure:
    """Build a figure from a PNG file and its texts below `figures` and `name`; `run` is added to the title."""
    from PIL import Image

    texts, kind = messages["figures"][name], "png"
    with Image.open(io.BytesIO(png)) as picture:
        size = picture.size
        if len(png) > LARGE:
            webp = io.BytesIO()
            picture.convert("RGB").save(webp, "WEBP", quality=QUALITY, method=6)
            kind, png = "webp", min(webp.getvalue(), png, key=len)
    title = f"{texts['title']}: {run}" if run else texts["title"]
    return Figure(title, texts["caption"], texts["alt"], _to_data_url(png, kind), *size, folded)


def _to_data_url(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def make_gallery(
    gallery: Mapping[str, Any], name: str, decisions: Sequence[str], num_open: int, messages: Mapping[str, Any]
) -> Gallery:
    """Build the pairs of pictures of some decisions; `gallery` is from the node `draw_gallery`."""
    texts, table, cases = messages["figures"][name], gallery["cases"], []
    caption = texts["caption"]
    for decision in decisions:
        rows = table[table["decision"] == decision]
        key = decision if len(rows) else f"no_{decision}"
        caption += " " + messages["gallery"][key].format(shown=len(rows), of=rows["of"].max())
        cases += [_make_case(gallery, row, ("plain", "overlay"), messages) for row in rows.index]
    return Gallery(texts["title"], caption, cases, num_open)


def make_examples(gallery: Mapping[str, Any], num: int, messages: Mapping[str, Any]) -> Gallery:
    """Build the plain pictures of the first `num` correctly classified images of each class."""
    table = gallery["cases"]
    rows = [row for kind in ("true_negative", "true_positive") for row in table.index[table["decision"] == kind][:num]]
    cases = [_make_case(gallery, row, ("plain",), messages) for row in rows]
    return Gallery("", messages["gallery"]["examples"], cases, len(cases), css_class="examples")


def _make_case(gallery: Mapping[str, Any], row: int, kinds: Sequence[str], messages: Mapping[str, Any]) -> Case:
    from PIL import Image

    case, pictures = gallery["cases"].loc[row], [gallery[f"{kind}_{row}"] for kind in kinds]
    with Image.open(io.BytesIO(pictures[0])) as picture:
        size = picture.size
    label = CLASSES[case["decision"] in ("true_positive", "false_negative")]
    values = {"class": label, "probability": case["probability"], "name": case["name"]}
    caption = translate(Finding("case", values), messages | messages["gallery"])
    return Case(caption, [_to_data_url(picture, "webp") for picture in pictures], *size)


def make_table(frame: DataFrame, name: str, run: str, messages: Mapping[str, Any], *, folded: bool = False) -> Table:
    """Format the first `MAX_ROWS` rows of a table as text; its caption is below `tables` and `name`.

    Column names and cells are translated where `columns` and `cells` have a text for them.
    """
    caption = messages["tables"][name]
    heads = [messages["columns"].get(column, str(column).replace("_", " ")) for column in frame.columns]
    records = frame.head(MAX_ROWS).to_dict("records")
    rows = [[format_cell(value, messages) for value in record.values()] for record in records]
    numbers = [not any(isinstance(record[column], str) for record in records) for column in frame.columns]
    label = f"{caption} ({run})" if run else caption
    return Table(caption, label, heads, rows, numbers, max(0, len(frame) - MAX_ROWS), folded)


def make_confusion_matrix(point: Decisions, messages: Mapping[str, Any]) -> Table:
    """Build the table of decisions by true class, with the share of each class."""
    texts, rows = messages["confusion"], []
    for name, counts in zip(CLASSES, ((point.tn, point.fp), (point.fn, point.tp)), strict=True):
        num = max(sum(counts), 1)
        rows.append([name, *(f"{count} ({format_number(count / num, '.1%', messages)})" for count in counts)])
    heads = [texts["class"], *(texts["decided"].format(name) for name in CLASSES)]
    caption = texts["caption"].format(format_number(point.threshold, ".3f", messages))
    return Table(caption, caption, heads, rows, [False, True, True], css_class="confusion")


def format_tile(name: str, estimate: Estimate, messages: Mapping[str, Any]) -> tuple[str, str]:
    """Return the two texts of a tile: a metric, shares in percent, and its interval with n."""
    form = ".3f" if name == "auc" else ".1%"
    value, *bounds = (
        MISSING if number is None else format_number(number, form, messages)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    if estimate.is_point:
        return value, messages["tile_without_interval"].format(estimate.n)
    return value, messages["tile"].format(*bounds, estimate.n)


def format_cell(value: Any, messages: Mapping[str, Any]) -> str:
    """Return a cell as text: a number, an estimate with its interval and n, a word, or a dash if it is missing."""
    if isinstance(value, dict):
        text, *bounds = (format_cell(value.get(name), messages) for name in ("value", "low", "high"))
        has_width = value.get("low") != value.get("high")  # If all resamples agree, there is no interval.
        text += " " + messages["bounds"].format(*bounds) if has_width and MISSING not in bounds else ""
        return text + (f", n = {value['n']:.0f}" if value.get("n") is not None else "")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, bool):
        return str(messages["cells"]["yes" if value else "no"])
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) > 1
        return format_number(value, ".0f" if is_whole else ".3f" if abs(value) < 10 else ".1f", messages)
    return str(messages["cells"].get(value, value))


def make_sentences(findings: Iterable[Finding], messages: Mapping[str, Any]) -> Listing:
    """Build the list of the sentences of findings."""
    return Listing([translate(finding, messages) for finding in findings])
