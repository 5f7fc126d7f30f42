"""The sentences of the reports in every language, one YAML file each, and their formatting."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from numbers import Real
from string import Formatter
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from chest_xray.core.types import InputError

ENGLISH = "en"
MAX_EXTRA_DIGITS = 8  # A probability that needs more to differ from 0 or 1 is printed as a bound; other numbers as 0.

TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Language(BaseModel):
    """The two-letter code of a language, validated when Kedro reads the parameters."""

    model_config = ConfigDict(frozen=True, defer_build=True)
    root: str

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """Validate the code; an unknown language raises `InputError`."""
        _require_language(obj)
        return super().model_validate({"root": obj}, **settings)


class Name(str):
    """A term that is translated: a key below `names` in the file of each language."""

    __slots__ = ()


class Finding(NamedTuple):
    """The key of a sentence and its values.

    A `Name` is translated, a tuple of names is translated and joined with commas, and other text is translated by
    `translate_text`; a model is formatted as a dict of its fields, and any other value as it is.
    """

    key: str
    values: Mapping[str, Any]


def render(
    title: str, sections: Mapping[str, Sequence[Finding]], about: Mapping[str, str], language: str = "en"
) -> str:
    """Return findings as a Markdown page, one bullet per finding; empty sections are omitted.

    `title` and the keys of `sections` are keys of messages; `about` has `data_source` and the values of the title.

    Raises:
        InputError: The language is unknown.
        KeyError: A sentence, a name or a value is missing.
    """
    messages = read_messages(language)
    values = {key: escape_markdown(translate_text(value, messages)) for key, value in about.items()}
    lines = [f"# {messages[title].format(**values)}", "", messages["source"].format(**values)]
    for heading, findings in sections.items():
        if findings:
            lines += ["", f"## {messages[heading]}", "", *(f"- {translate(finding, messages)}" for finding in findings)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Escape a text that users can set, such as a title or the data source, for Markdown."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", " ".join(text.split()))


def translate(finding: Finding, messages: Mapping[str, Any]) -> str:
    """Return the sentence of a finding in the language of `messages`.

    Raises:
        KeyError: The sentence, a name or a value is missing.
    """
    values = {key: _translate_value(value, messages) for key, value in finding.values.items()}
    return _LocalFormatter(messages).vformat(messages[finding.key], (), values)


def _translate_value(value: Any, messages: Mapping[str, Any]) -> Any:
    if isinstance(value, Name):
        return messages["names"][value]
    if isinstance(value, tuple):
        return ", ".join(messages["names"][name] for name in value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    return translate_text(value, messages) if isinstance(value, str) else value


def translate_text(text: str, messages: Mapping[str, Any]) -> str:
    """Return the translation of a title or data source from `conf`, or the text itself if it has none."""
    return str(messages.get("given", {}).get(text, text))


def format_number(value: float, form: str, messages: Mapping[str, Any]) -> str:
    """Return a number in Python's format `form`, with the decimal mark of the language."""
    return str(_LocalFormatter(messages).format_field(value, form))


class _LocalFormatter(Formatter):
    def __init__(self, messages: Mapping[str, Any]):
        self._mark = messages.get("decimal_mark", ".")

    def format_field(self, value: Any, format_spec: str) -> Any:
        """Format a value; the form "image|images" of a count appends the English singular or plural."""
        one, separator, many = format_spec.partition("|")
        if separator:
            return f"{value} {one if value == 1 else many}"
        if not isinstance(value, Real) or isinstance(value, int):
            text = super().format_field(value, format_spec)
            return text.replace(",", "\N{NO-BREAK SPACE}") if format_spec == "," and self._mark == "," else text
        text = _format_exponent(_format_float(float(value), format_spec))
        return text.replace(".", self._mark).replace("-", "\N{MINUS SIGN}")


def _format_exponent(text: str) -> str:
    """Replace the `e-07` of a number by a power of ten with a superscript."""
    number, marker, power = text.partition("e")
    return f"{number}{TIMES}10{str(int(power)).translate(SUPERSCRIPTS)}" if marker else text


def _format_float(value: float, form: str) -> str:
    """Format a number, with more digits if it would be rounded to 0, or a share below 1 to 1 or 100%."""
    fixed_point = re.fullmatch(r"(.*\.)(\d+)([f%])", form)
    if value == 0 or fixed_point is None:
        return format(value or 0.0, form)  # not -0
    prefix, digits, kind = fixed_point.groups()
    is_share = 0 < value < 1
    wrong = {0.0, 100.0 if kind == "%" else 1.0} if is_share else {0.0}
    for num_digits in range(int(digits), int(digits) + MAX_EXTRA_DIGITS + 1):
        text = format(value, f"{prefix}{num_digits}{kind}")
        if float(text.rstrip("%")) not in wrong:
            return text
    if is_share and "+" not in prefix:
        step = 10 ** -(int(digits) + (2 if kind == "%" else 0))
        return f"< {format(step, form)}" if value < step else f"> {format(1 - step, form)}"
    return format(0.0, form)


def languages() -> list[str]:
    """Return the codes of all languages."""
    files = (file.name for file in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".yml") for name in files if name.endswith(".yml"))


@cache
def read_messages(language: str) -> Mapping[str, Any]:
    """Return the sentences of a language by key.

    Raises:
        InputError: The language is unknown.
    """
    import yaml

    _require_language(language)
    text = resources.files(__package__).joinpath(f"{language}.yml").read_text(encoding="utf-8")
    # The C loader is ten times as fast; some builds of PyYAML lack it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    messages: dict[str, Any] = yaml.load(text, loader)
    return messages


def _require_language(language: Any) -> None:
    if language not in languages():
        raise InputError(
            f"received the language {language!r}; expected one of {', '.join(languages())}. Set the parameter "
            "`language`."
        )
