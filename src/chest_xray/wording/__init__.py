"""The sentences of every report, one file a language: how each is said. Rules elsewhere decide which are true."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from chest_xray.options import InputError


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
    lines = [f"# {words[title].format(**about)}", "", words["source"].format(**about)]
    for heading, findings in sections.items():
        if findings:
            lines += ["", f"## {words[heading]}", ""]
            lines += [f"- {say(finding, words)}" for finding in findings]
    return "\n".join(lines) + "\n"


def say(finding: Finding, words: Mapping[str, Any]) -> str:
    """Write one finding as a sentence.

    Args:
        finding: What to say.
        words: From `read_words`.

    Raises:
        KeyError: There is no such sentence or name, or a value that the sentence names is missing.
    """
    sentence: str = words[finding.key]
    return sentence.format(**{key: _translate(value, words["names"]) for key, value in finding.values.items()})


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

    if language not in languages():
        raise InputError(f"received the language {language!r}; expected one of {', '.join(languages())}.")
    text = resources.files(__package__).joinpath(f"{language}.yml").read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.safe_load(text)
    return words
