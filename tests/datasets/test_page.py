"""A page is stored in each language, whole or not at all."""

from pathlib import Path

import pytest

from chest_xray.datasets import PageDataset


def test_every_language_has_its_own_file_beside_the_english_one(tmp_path: Path) -> None:
    dataset = PageDataset(filepath=str(tmp_path / "new [1]" / "report.html"))  # brackets are a pattern to glob
    assert not dataset.exists()
    dataset.save({"en": "lungs", "ru": "лёгкие"})
    assert dataset.exists()
    assert {path.name for path in (tmp_path / "new [1]").iterdir()} == {"report.html", "report.ru.html"}
    assert (tmp_path / "new [1]" / "report.ru.html").read_bytes() == "лёгкие".encode()
    assert dataset.load() == {"en": "lungs", "ru": "лёгкие"}


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    dataset = PageDataset(filepath=str(tmp_path / "report.html"))
    dataset.save({"en": "old"})
    with pytest.raises(Exception, match="surrogates not allowed"):
        dataset.save({"en": "new \ud800"})
    assert dataset.load() == {"en": "old"}
