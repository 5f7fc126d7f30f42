"""The numbers in README are those of the stored results, in both languages."""

import json
import re
from typing import Any

import numpy as np
import pytest
from benchmarks import readme

from chest_xray.models.shipping import SHIPPED, read_metrics
from tests.builders import interval
from tests.conftest import ROOT

RESULTS: dict[str, Any] = json.loads(readme.STORED.read_text("utf-8"))
REMEDY = "run benchmarks/readme.py with the folder 08_reporting of the run whose network is shipped"
RESULT = re.compile(r"\d[.,]\d+ ?%|\b0[.,]\d\d+|\[[+-]?\d")  # a share, or an interval


@pytest.mark.parametrize("language", readme.PAGES)
def test_the_page_is_short_and_states_what_was_stored(language: str) -> None:
    page = (ROOT / readme.PAGES[language]).read_text("utf-8")
    assert readme.render(page, language, RESULTS) == page, REMEDY
    lines = page.splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("language", readme.PAGES)
def test_no_result_stands_outside_of_the_marked_parts(language: str) -> None:
    page = (ROOT / readme.PAGES[language]).read_text("utf-8")
    marked = re.compile(r"<!-- results: .*?<!-- end -->", re.DOTALL)
    assert RESULT.search("".join(marked.findall(page)))
    assert RESULT.findall(marked.sub("", page)) == []


def test_the_stored_results_are_those_of_the_shipped_network() -> None:
    shipped = read_metrics(SHIPPED)
    assert shipped is not None
    stored = RESULTS["rows"]["augmented"]
    found = {name: getattr(shipped.test.at_chosen, name) for name in readme.METRICS}
    found |= {"auc": shipped.test.auc, "validation": shipped.validation.at_chosen.accuracy}
    assert {name: each.model_dump() for name, each in found.items()} == stored, REMEDY


@pytest.mark.parametrize("run", ["baseline", "augmented"])
def test_the_curves_of_the_image_have_the_auc_of_the_table(run: str) -> None:
    false_positives, sensitivity = np.array(RESULTS["roc"][run]).T
    assert np.trapezoid(sensitivity, false_positives) == pytest.approx(RESULTS["rows"][run]["auc"]["value"], abs=1e-3)


def test_numbers_are_written_as_each_language_writes_them() -> None:
    metric = interval(0.8504, 0.875, 0.9016).model_dump()
    assert readme._percent(metric, "en") == "87.5 [85.0, 90.2]"
    assert readme._percent(metric, "ru") == "87,5 [85,0; 90,2]"


def test_width_has_intervals_by_hand() -> None:
    # Hanley and McNeil 1982 for 0.9 of 50 and 50: q1 = 0.9 / 1.1 - 0.81, q2 = 1.62 / 1.9 - 0.81, a deviation of 0.0321.
    rule = {"threshold": 3, "test": {"accuracy": 0.8, "sensitivity": 0.7, "specificity": 0.9, "auc": 0.9}}
    found = readme._collect_width(rule, 100, 50)
    assert found["auc"]["low"] == pytest.approx(0.9 - 1.96 * 0.03212, abs=1e-4)
    assert found["accuracy"]["n"] == 100
    assert found["specificity"]["n"] == 50
    assert found["sensitivity"]["low"] == pytest.approx(0.5625, abs=1e-3)  # Wilson's interval of 35 in 50


def test_a_page_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"0 marks `<!-- results: summary -->`; expected one"):
        readme.render("text", "en", RESULTS)
