"""What the page says of a prediction and of the network, as HTML in the language of the reader."""

from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2

from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.models.contract import Contract
from chest_xray.models.inference import Prediction

PACKAGE = "chest_xray.serving"


class Speech:
    """The sentences of one language, and the pages made of them.

    Args:
        language: "en" or "ru".
        data_source: What the network was trained on, as it stands on every figure.
    """

    def __init__(self, language: str, data_source: str):
        self.language, self.data_source = language, data_source
        self.words = read_words(language)
        # Details come from files of strangers: everything is escaped.
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(PACKAGE, ""), autoescape=True, undefined=jinja2.StrictUndefined
        )

    def say(self, key: str, **values: Any) -> str:
        """Return a sentence with its values filled in."""
        return self.words[key].format(**values)

    def show_page(self, languages: Sequence[str]) -> str:
        """Return the page itself, as HTML.

        Args:
            languages: All that there are; the others are linked to.
        """
        others = {other: read_words(other)["language_name"] for other in languages if other != self.language}
        page = self._templates.get_template("page.html")
        return page.render(say=self.say, language=self.language, others=others, data_source=self.data_source)

    def show_result(self, prediction: Prediction, contract: Contract, pictures: dict[str, Any]) -> str:
        """Format the answer for one picture, or why there is none.

        Args:
            prediction: Of the network.
            contract: Of the network; its operating point is explained.
            pictures: `picture` and `heat` (data URLs, or None), `width` and `height` of the picture.

        Returns:
            HTML.
        """
        values = {"prediction": prediction, **pictures, **self._describe_point(contract)}
        if prediction.decision:
            cut = _calibrate_threshold(contract.operating_point)
            values |= {
                "cut": cut,
                "threshold": self.percent(cut),
                "probability": self.percent(prediction.probability or 0.0),
                "most": self.number(contract.input_checks.limits.max_ood_score, ".2f"),
            }
        else:
            key = f"reason_{prediction.reason}"
            values |= {"reason": self.words.get(key, self.words["reason_other"])}
        return self._templates.get_template("result.html").render(say=self.say, number=self.number, **values)

    def show_about(self, contract: Contract, fingerprint: str) -> str:
        """Return the contract of the network in a few lines of HTML."""
        values = {"contract": contract, "fingerprint": fingerprint, "preparation": contract.input.preparation}
        page = self._templates.get_template("about.html")
        return page.render(say=self.say, number=self.number, **values, **self._describe_point(contract))

    def show_failure(self) -> str:
        """Format the message that the program failed, without the reason."""
        return f'<section class="answer"><h2 class="refused">{self.words["failed"]}</h2></section>'

    def number(self, value: float, form: str) -> str:
        """Write a number with the decimal mark of the language.

        Args:
            value: The number.
            form: Python's format.
        """
        return format(value, form).replace(".", self.words["decimal_mark"])

    def percent(self, probability: float) -> str:
        """Write a probability; the last step to a certainty that no network has is not rounded up to it."""
        if probability < 0.001:
            return f"< {self.number(0.001, '.1%')}"
        if probability > 0.999:
            return f"> {self.number(0.999, '.1%')}"
        return self.number(probability, ".1%")

    def _describe_point(self, contract: Contract) -> dict[str, Any]:
        point = contract.operating_point
        return {"point": point, "chosen": point.points[point.rule], "rule": self.words[f"rule_{point.rule}"]}


def _calibrate_threshold(point: OperatingPoint) -> float:
    """Convert the threshold on the network's score to the scale of the probabilities."""
    import pandas as pd
    from scipy.special import logit

    from chest_xray.metrics.operating_point import calibrate

    return float(calibrate(pd.Series([logit(point.threshold)]), point.calibration)[0])


def read_style() -> str:
    """Return the style of the page, with the colours of the overlay filled in."""
    from chest_xray.serving.pictures import HEAT

    style = resources.files(PACKAGE).joinpath("page.css").read_text(encoding="utf-8")
    return style.replace("HEAT_COLOURS", ", ".join(HEAT))


def read_words(language: str) -> dict[str, str]:
    """Return every sentence of the page in a language, by key."""
    import yaml

    text = resources.files(PACKAGE).joinpath("words", f"{language}.yml").read_text(encoding="utf-8")
    words: dict[str, str] = yaml.safe_load(text)
    return words
