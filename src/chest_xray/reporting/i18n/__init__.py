"""The sentences of every report, one file a language: how each is said. Rules elsewhere decide which are true."""

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Formatter
from typing import Any, NamedTuple, Self

from pydantic import ConfigDict, RootModel

from chest_xray.core.options import InputError


class Language(RootModel[str]):
    """The language of pages, by its two letters: checked when Kedro reads the parameters, before any node runs."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """Accept the name of a language that there are words for.

        Raises:
            InputError: There is no such language.
        """
        _require_language(obj)
        return super().model_validate(obj, **settings)


class Name(str):
    """A word that each language says in its own way: a key below `names` in its file."""

    __slots__ = ()


class Finding(NamedTuple):
    """A sentence that the numbers support, and what goes into it.

    A `Name` among the values is said in the language of the page, and several in a tuple are listed with commas. Other
    values stand as they are.
    """

    key: str
    values: Mapping[str, Any]


def render(
    title: str, sections: Mapping[str, Sequence[Finding]], about: Mapping[str, str], language: str = "en"
) -> str:
    """Write findings as a page of Markdown.

    Args:
        title: Key of the page's title.
        sections: From the key of a heading to what stands below it; a section without findings is left out.
        about: `data_source`, which stands below the title, and what else the title names.
        language: Which of `languages` the page is in.

    Returns:
        Markdown, one bullet a finding.

    Raises:
        InputError: There is no such language.
        KeyError: There is no such sentence or name, or a value that the sentence names is missing.
    """
    words = read_words(language)
    said = {key: escape_markdown(say_given(value, words)) for key, value in about.items()}
    lines = [f"# {words[title].format(**said)}", "", words["source"].format(**said)]
    for heading, findings in sections.items():
        if findings:
            lines += ["", f"## {words[heading]}", ""]
            lines += [f"- {say(finding, words)}" for finding in findings]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Make a text of the user's stand in Markdown as it is: a title or the source of the data is no markup."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", " ".join(text.split()))


def say(finding: Finding, words: Mapping[str, Any]) -> str:
    """Write one finding as a sentence.

    Args:
        finding: What to say.
        words: From `read_words`.

    Raises:
        KeyError: There is no such sentence or name, or a value that the sentence names is missing.
    """
    values = {key: _translate(value, words["names"]) for key, value in finding.values.items()}
    return _Writer(words).vformat(words[finding.key], (), values)


def say_given(text: str, words: Mapping[str, Any]) -> str:
    """Translate a title or the source of the data from `conf`; unknown texts are returned as they are."""
    return str(words.get("given", {}).get(text, text))


def write_number(value: float, form: str, words: Mapping[str, Any]) -> str:
    """Write a number as Python's format says, with the decimal mark of the language."""
    return str(_Writer(words).format_field(value, form))


class _Writer(Formatter):
    """Fills in values, with the decimal mark of the language in numbers."""

    def __init__(self, words: Mapping[str, Any]):
        self._mark = words.get("decimal_mark", ".")

    def format_field(self, value: Any, format_spec: str) -> Any:
        """Format one value."""
        text = super().format_field(value, format_spec)
        return text.replace(".", self._mark) if isinstance(value, float) else text


def _translate(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Name):
        return names[value]
    if isinstance(value, tuple):
        return ", ".join(names[name] for name in value)
    return value


def languages() -> list[str]:
    """Name the languages that pages can be written in."""
    files = (file.name for file in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".yml") for name in files if name.endswith(".yml"))


def read_words(language: str) -> dict[str, Any]:
    """Read the sentences of a language, by key, and below `names` the words that go into them.

    Raises:
        InputError: There is no such language.
    """
    import yaml

    _require_language(language)
    text = resources.files(__package__).joinpath(f"{language}.yml").read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.safe_load(text)
    return words


def _require_language(language: Any) -> None:
    if language not in languages():
        raise InputError(f"received the language {language!r}; expected one of {', '.join(languages())}.")
