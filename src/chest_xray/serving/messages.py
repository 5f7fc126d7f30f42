"""The HTML of the page in each language, from its templates and translations."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import resources
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from chest_xray.metrics.results import Estimate, Metrics
from chest_xray.models.contract import Contract
from chest_xray.models.gradcam import HEAT
from chest_xray.models.inference import Prediction
from chest_xray.serving.pictures import Samples

if TYPE_CHECKING:  # of the extra `serve`, which `kedro run` does not need
    from starlette.requests import Request

PACKAGE = "chest_xray.serving"
LANGUAGES = ("en", "ru")
NEAREST = 1e-7  # Probabilities nearer to 0 or 1 are shown as below or above this.


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
