"""Pages are loaded as they were saved, and previewed as HTML."""

from pathlib import Path

import fsspec

from chest_xray.datasets import MarkdownDataset

PAGE = "# Ergebnis für n = 3\n\n- 100 % richtig\n"


def test_a_page_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    dataset = MarkdownDataset(filepath=str(tmp_path / "new" / "page.md"))
    assert not dataset.exists()
    dataset.save(PAGE)
    assert dataset.exists()
    assert dataset.load() == PAGE
    assert (tmp_path / "new" / "page.md").read_bytes() == PAGE.encode()


def test_the_preview_is_the_page_as_html_with_tables(tmp_path: Path) -> None:
    dataset = MarkdownDataset(filepath=str(tmp_path / "page.md"))
    dataset.save(PAGE + "\n| a |\n|---|\n| 1 |\n")
    shown = str(dataset.preview())
    assert "<h1>Ergebnis für n = 3</h1>" in shown
    assert "<li>100 % richtig</li>" in shown
    assert "<td>1</td>" in shown


def test_html_special_characters_are_escaped(tmp_path: Path) -> None:
    dataset = MarkdownDataset(filepath=str(tmp_path / "page.md"))
    dataset.save("- 3 < 4 & 5 > 2\n")
    assert "<li>3 &lt; 4 &amp; 5 &gt; 2</li>" in str(dataset.preview())


def test_html_in_a_name_is_shown_as_text(tmp_path: Path) -> None:
    dataset = MarkdownDataset(filepath=str(tmp_path / "page.md"))
    dataset.save(
        "- <script>alert(1)</script> <img src=x onerror=alert(1)>\n\n<iframe src='http://evil.example'></iframe>\n"
    )
    shown = str(dataset.preview())
    assert "&lt;script&gt;" in shown
    assert not any(tag in shown for tag in ("<script", "<img", "<iframe"))


def test_a_page_is_written_to_the_filesystem_of_its_url() -> None:
    dataset = MarkdownDataset(filepath="memory://pages/page.md")
    dataset.save(PAGE)
    assert dataset.load() == PAGE
    memory = fsspec.filesystem("memory")
    assert memory.find("/") == ["/pages/page.md"]
    memory.store.clear()
