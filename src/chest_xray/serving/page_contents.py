"""What the page shows: its HTML in each language, pictures as data URLs (nothing is stored), and samples.

Decoding processes import this module, so it must not import TensorFlow.
"""

import base64
import io
import math
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import jinja2

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.decoding import fit_grey
from chest_xray.images.header import is_dicom
from chest_xray.images.preprocessing import Preparation, decode_content, trim
from chest_xray.images.validation import InputChecks, Refusal, describe_image, is_junk
from chest_xray.metrics.results import Estimate, Metrics
from chest_xray.models.contract import Contract
from chest_xray.models.gradcam import HEAT, colour_evidence
from chest_xray.models.inference import Prediction

if TYPE_CHECKING:  # of the extra `serve`, which `kedro run` does not need
    from starlette.requests import Request

PACKAGE = "chest_xray.serving"
LANGUAGES = ("en", "ru")
NEAREST = 1e-7  # Probabilities nearer to 0 or 1 are shown as below or above this.
SIDE = 512  # pixels of the longer side on the page
Label = Literal["NORMAL", "PNEUMONIA"]
AETIOLOGIES: dict[Label, str] = {"NORMAL": "none", "PNEUMONIA": "bacterial"}  # of phantoms


class Picture(NamedTuple):
    """A picture as a data URL, and its size in pixels."""

    url: str
    width: int
    height: int


def show_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> Picture | None:
    """Return the picture of `draw_picture` as a data URL, or None."""
    pixels = draw_picture(data, preparation, limits)
    return None if pixels is None else Picture(to_data_url(pixels), pixels.shape[1], pixels.shape[0])


def draw_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> Array | None:
    """Draw the part of an image that the network receives, in its own proportions.

    Args:
        data: The bytes of a file.
        preparation: Size and geometry of the network's input.
        limits: Images above `max_megapixels` are not shown.

    Returns:
        uint8 of shape (height, width), or None if the file cannot be shown.
    """
    geometry = preparation.geometry

    def scale(original: tuple[float, float]) -> tuple[int, int]:
        width, height = original if geometry == "stretch" else (preparation.width, preparation.height)
        factor = SIDE / max(width, height)
        return max(1, round(width * factor)), max(1, round(height * factor))

    try:
        if is_dicom(data):
            from chest_xray.images.dicom import read_dicom

            image = read_dicom(data, limits.max_megapixels).convert("L")
            original, content = image.size, trim(image, limits)
        else:
            facts = describe_image(io.BytesIO(data), limits.max_megapixels)
            if isinstance(facts, Refusal):
                return None
            original = facts.width, facts.height
            content = decode_content(data, scale(original), geometry, limits)
        size = scale((original[0] * content.share[0], original[1] * content.share[1]))
        return np.asarray(fit_grey(content.image, size, geometry))
    except Exception:  # The image is only for orientation; the answer states why the file was refused.
        return None


def draw_heat(evidence: Array) -> str | None:
    """Return the map of `colour_evidence` as a data URL; None if there is no evidence."""
    return to_data_url(colour_evidence(evidence, (SIDE // 2, SIDE // 2))) if evidence.any() else None


def encode_png(pixels: Array) -> bytes:
    """Encode uint8 pixels of shape (height, width), or (height, width, 4) with opacity, as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def to_data_url(pixels: Array) -> str:
    """Return the PNG of `encode_png` as a data URL."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


class Samples(NamedTuple):
    """Samples: phantoms, for a network that was trained on some; images that it was not trained on; or none."""

    kind: Literal["phantoms", "validation", "test", "none"]
    paths: Mapping[Label, Sequence[str]] = {}  # of files, by label; empty for phantoms

    @classmethod
    def of_validation(cls, image_split: DataFrame) -> Self:
        """Offer the validation images whose files still exist; "none" unless there are some of each label."""
        rows = image_split[image_split["subset"] == "validation"]
        paths = {
            label: [path for path in rows.loc[rows["label"] == number, "path"] if Path(path).is_file()]
            for number, label in enumerate(AETIOLOGIES)
        }
        return cls("validation", paths) if all(paths.values()) else cls("none")

    @classmethod
    def of_test(cls, folder: str | None) -> Self:
        """Offer the images in the subfolders `NORMAL` and `PNEUMONIA`; "none" unless there are some in each."""
        paths = {
            label: [str(path) for path in Path(folder, label).glob("*") if not is_junk(path.name)]
            for label in AETIOLOGIES
            if folder
        }
        return cls("test", paths) if paths and all(paths.values()) else cls("none")

    def draw(self, label: Label) -> bytes:
        """Return the bytes of a random image with this label."""
        if self.kind == "phantoms":
            from chest_xray.images.phantoms import draw_phantom

            return encode_png(draw_phantom(np.random.default_rng(), AETIOLOGIES[label]))
        return Path(random.choice(self.paths[label])).read_bytes()


class Background(NamedTuple):
    """Facts about the network that the page shows but the contract does not contain."""

    data_source: str  # what the network was trained on
    metrics: Metrics | None  # of the network, if it was evaluated
    samples: Samples


class Renderer:
    """Renders the page in one language, "en" or "ru"."""

    def __init__(self, language: str, background: Background):
        self.language, self._background = language, background
        self.messages = read_messages(language)
        self._keys = {text: key for key, text in read_messages("en").items()}
        # Everything is escaped: details contain text from uploaded files.
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(PACKAGE, ""), autoescape=True, undefined=jinja2.StrictUndefined
        )

    def _render(self, template: str, **values: Any) -> str:
        def message(key: str, **values: Any) -> str:
            return self.messages[key].format(**values)

        functions = {"message": message, "number": self.format_number, "translate": self.translate}
        return self._templates.get_template(template).render(**functions, **values)

    def translate(self, text: str) -> str:
        """Return a text of contract or parameters in the language of the page, if it is among the messages."""
        return self.messages.get(self._keys.get(text, ""), text)

    def render_page(self, languages: Sequence[str]) -> str:
        """Return the page, with links to the other languages."""
        others = {other: read_messages(other)["language_name"] for other in languages if other != self.language}
        facts = {"data_source": self._background.data_source, "samples": self._background.samples.kind}
        return self._render("page.html", language=self.language, others=others, **facts)

    def render_result(self, prediction: Prediction, contract: Contract, pictures: dict[str, Any]) -> str:
        """Return the answer for one image, or the reason for its refusal.

        `pictures` has `picture` and `heat` (data URLs, or None), `width` and `height` in pixels, and the `label` of a
        sample, or None.
        """
        values = {"prediction": prediction, **pictures, **self._describe_point(contract)}
        if prediction.decision:
            cut = contract.operating_point.chosen.threshold
            values |= {
                "cut": cut,
                "probability": self.format_percent(prediction.probability or 0.0),
                "most": self.format_number(contract.input_checks.limits.max_ood_score, ".2f"),
                "errors": self._describe_errors(contract),
            }
        else:
            values["reason"] = describe_reason(prediction.reason, self.language)
        return self._render("result.html", **values)

    def render_about(self, contract: Contract, fingerprint: str) -> str:
        """Return a summary of the contract."""
        values = {"contract": contract, "fingerprint": fingerprint, "preparation": contract.input.preparation}
        return self._render("about.html", **values, **self._describe_point(contract))

    def render_failure(self) -> str:
        """Return the message for an internal error."""
        return f'<section class="answer"><h2 class="refused">{self.messages["failed"]}</h2></section>'

    def format_number(self, value: float, form: str) -> str:
        """Return a number in Python's format `form`, with the decimal mark of the language."""
        return format(value, form).replace(".", self.messages["decimal_mark"])

    def format_percent(self, probability: float) -> str:
        """Return a probability in percent, with the digits that distinguish it from 0% and 100%."""
        sign = "< " if probability < NEAREST else "> " if probability > 1 - NEAREST else ""
        clipped = min(max(probability, NEAREST), 1 - NEAREST)
        digits = max(1, math.ceil(-math.log10(min(clipped, 1 - clipped)) - 2.001))
        return sign + self.format_number(clipped, f".{digits}%")

    def _describe_errors(self, contract: Contract) -> str | None:
        """Return how often this network errs on test; None without metrics, or where they are of another network."""
        metrics = self._background.metrics
        if metrics is None:
            return None
        decisions = metrics.test.at_chosen
        if decisions.threshold not in [point.threshold for point in contract.operating_point.points.values()]:
            return None
        return self.messages["errors"].format(
            alarms=self._count_errors(decisions.specificity),
            missed=self._count_errors(decisions.sensitivity),
            num_normal=decisions.specificity.n,
            num_pneumonia=decisions.sensitivity.n,
        )

    def _count_errors(self, correct: Estimate) -> str:
        """Return how many of 100 are wrong, with its interval; `correct` is the share that is right."""
        errors = [100 * (1 - (share or 0.0)) for share in (correct.value, correct.high, correct.low)]
        return self.messages["interval"].format(*(f"{count:.0f}" for count in errors))

    def _describe_point(self, contract: Contract) -> dict[str, Any]:
        point = contract.operating_point
        return {
            "point": point,
            "chosen": point.chosen,
            "threshold": self.format_percent(point.chosen.threshold),
            "bounds": [self.format_percent(bound) for bound in point.bounds],
            "rule": self.messages[f"rule_{point.rule}"],
        }


def read_style() -> str:
    """Return the style sheet with the colours of the overlay."""
    style = resources.files(PACKAGE).joinpath("page.css").read_text(encoding="utf-8")
    return style.replace("HEAT_COLOURS", ", ".join(HEAT))


def choose_language(request: "Request", default: str) -> str:
    """Return the language of a request from `?language=`, else from `Accept-Language`, else the default."""
    preferred = [request.query_params.get("language", "")]
    ranked = []
    for entry in request.headers.get("accept-language", "").split(","):
        name, _, quality = entry.partition(";q=")
        with suppress(ValueError):
            ranked.append((-float(quality or 1), name))
    preferred += [name for _, name in sorted(ranked, key=itemgetter(0))]
    codes = (name.strip().lower()[:2] for name in preferred)
    return next((name for name in codes if name in LANGUAGES), default)


def describe_reason(reason: str | None, language: str) -> str:
    """Return a sentence for the reason of a refusal or a failed request; empty for None."""
    messages = read_messages(language)
    return messages.get(f"reason_{reason}", messages["reason_other"]) if reason else ""


@lru_cache
def read_messages(language: str) -> dict[str, str]:
    """Return the messages of the page in a language by key."""
    import yaml

    text = resources.files(PACKAGE).joinpath("translations", f"{language}.yml").read_text(encoding="utf-8")
    messages: dict[str, str] = yaml.safe_load(text)
    return messages
