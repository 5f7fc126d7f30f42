"""The sentences of every report. Rules elsewhere decide which are true; here is only how each is said."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """A sentence that the numbers support, and the numbers that go into it."""

    key: str
    values: Mapping[str, Any]


def render(title: str, sections: Mapping[str, Sequence[Finding]], about: Mapping[str, str]) -> str:
    """Write findings as a page of Markdown.

    Args:
        title: Key of the page's title.
        sections: From the key of a heading to what stands below it; a section without findings is left out.
        about: `data_source`, which stands below the title, and what else the title names.

    Returns:
        Markdown, one bullet a finding.

    Raises:
        KeyError: There is no such sentence, or a value that it names is missing.
    """
    words = _words()
    lines = [f"# {words[title].format(**about)}", "", words["source"].format(**about)]
    for heading, findings in sections.items():
        if findings:
            lines += ["", f"## {words[heading]}", ""]
            lines += [f"- {words[finding.key].format(**finding.values)}" for finding in findings]
    return "\n".join(lines) + "\n"


def _words() -> dict[str, str]:
    import yaml

    text = resources.files(__package__).joinpath("en.yml").read_text(encoding="utf-8")
    words: dict[str, str] = yaml.safe_load(text)
    return words
