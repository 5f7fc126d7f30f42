"""Every sentence can be written, and every finding has its sentence."""

import ast
import re
import string
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from chest_xray.core.types import InputError
from chest_xray.metrics.abstention import Abstention
from chest_xray.metrics.comparison import METRICS
from chest_xray.metrics.results import Interval, Metrics
from chest_xray.metrics.shift import MEASURES, compare_with_reference
from chest_xray.models.batch import ExternalEvaluation, summarise_batch
from chest_xray.models.inference import Prediction
from chest_xray.reporting import abstention, comparison, conclusions
from chest_xray.reporting.abstention import find_abstention
from chest_xray.reporting.i18n import (
    TIMES,
    Finding,
    Language,
    Name,
    format_number,
    languages,
    read_messages,
    render,
    translate,
    translate_text,
)
from chest_xray.reporting.new_images import compare_with_internal, describe_batch, describe_shift
from chest_xray.reporting.report_contents import Report, read_options
from chest_xray.reporting.report_findings import (
    assess_run,
    describe_data,
    describe_network,
    describe_protocol,
    describe_test_looks,
)
from tests.builders import (
    NONE,
    TINY_NETWORK,
    changed,
    interval,
    make_abstention,
    make_comparison,
    make_contract,
    make_dependence,
    make_difference,
    make_metadata_baseline,
    make_metadata_metrics,
    make_point,
    make_reference,
    make_run_metrics,
    make_stratum,
    make_study,
    sure,
    with_band,
)
from tests.reporting.inputs import AUDIT, ROOT, make_evidence, read_parameters
from tests.reporting.test_robustness_conclusions import make_map_sanity, make_occlusion_table, make_robustness_table

LOW, HIGH = interval(0.6, 0.65, 0.7), interval(0.85, 0.9, 0.95)
ENGLISH = read_messages("en")
KINDS = ("blur", "noise", "contrast", "gamma", "jpeg", "tilt", "crop", "collimation")
ABOUT = {"data_source": "phantoms"}
NOT_FINDINGS = {
    *("names", "given", "decimal_mark", "page", "topics", "sections", "summary_rows", "figures", "tables", "columns"),
    *("cells", "external", "intended_use", "known_limits", "limits_of_phantoms", "glossary", "card", "notebook"),
    *("labels", "gallery", "confusion", "tile", "tile_without_interval", "bounds"),
    *("missing", "lungs_or_shape", "what_an_answer_is_worth", "what_a_probability_is_worth"),
    *("source", "conclusions_title", "how_well", "where_it_fails", "validation_and_test", "what_to_try"),
    *("comparison_title", "answer", "in_numbers", "how_compared"),
    *("abstention", "study_title", "study_method", "robustness_title", "maps", "occlusion", "robustness"),
}


def all_of(metrics: Metrics, difference: Interval | None = None, train: float = 0.9) -> Iterator[Finding]:
    """What every rule says of one run, with this accuracy on train and 0.9 on validation."""
    yield from conclusions.assess_performance(metrics, make_metadata_metrics(difference))
    yield from conclusions.assess_predictive_values(metrics)
    yield from conclusions.assess_calibration(metrics)
    yield from conclusions.describe_intervals(metrics)
    yield from conclusions.describe_errors(metrics)
    yield from conclusions.compare_validation_and_test(metrics)
    yield from conclusions.suggest_next_steps(metrics, {"accuracy": train, "val_accuracy": 0.9})


def of_one_run() -> Iterator[Finding]:
    """What the rules say over the runs of `list_runs`."""
    for metrics, difference in list_runs():
        yield from all_of(metrics, difference)
    yield from all_of(make_run_metrics(), train=0.99)


@cache
def list_runs() -> list[tuple[Metrics, Interval | None]]:
    """The runs of `make_runs`, made once."""
    return list(make_runs())


def make_runs() -> Iterator[tuple[Metrics, Interval | None]]:
    """Good and bad figures in every combination, and missing ones; with the difference from the metadata baseline."""
    sides, gaps = (LOW, HIGH), (interval(-0.1, -0.05, -0.01), sure(0), interval(0.01, 0.05, 0.1))
    for accuracy, sensitivity, specificity, at_half, gap in product(sides, sides, sides, sides, gaps):
        for bacterial, viral in ((LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)):
            metrics = make_run_metrics(
                accuracy=accuracy,
                sensitivity=sensitivity,
                specificity=specificity,
                at_half=at_half,
                by_aetiology={"bacterial": bacterial, "viral": viral},
                gap=dict.fromkeys(("balanced_accuracy", "sensitivity", "specificity"), gap),
                strata=[make_stratum("< 1", sensitivity=sensitivity), make_stratum("≥ 1", sensitivity=accuracy)],
            )
            half = {"tn": 30, "fp": 10} if at_half == LOW else {"fn": 0, "tp": 60}
            yield changed(metrics, "test.at_half", **half), gap
    apart = {"sensitivity": interval(0.01, 0.05, 0.1), "specificity": interval(-0.1, -0.05, -0.01)}
    yield make_run_metrics(gap=apart), None
    for slope, intercept in product((0.8, 1, 1.2), (-0.5, 0, 0.5, 1.5)):
        held = {"slope": sure(slope), "intercept": sure(intercept), "ece_by_chance": slope / 20 - 0.01}
        yield make_run_metrics(calibration=held), None
    yield make_run_metrics(npv_realistic=sure(0.2)), None
    yield make_run_metrics(accuracy=interval(0.75, 0.85, 0.9)), None
    yield make_run_metrics(mcc=NONE, calibration={"slope": Interval(value=1, low=0.99, high=None)}), None
    yield make_run_metrics(strata=[make_stratum("< 1", specificity=NONE, auc=NONE)]), None
    perfect = changed(make_run_metrics(), "test.points.balanced", fn=0, fp=0)
    yield changed(perfect, "test", auc=interval(1.0, 1.0, 1.0).with_n(100)), None
    for reached in (False, None):
        plain = make_run_metrics()
        for rule in plain.operating_point.points:
            plain = changed(plain, f"operating_point.points.{rule}", reached=reached)
        yield plain, None
    for p in (0.01, 0.9):
        yield changed(make_run_metrics(), "dependence", **make_dependence(p).model_dump()), None


def of_shortcuts() -> Iterator[Finding]:
    for value in (0.2, 0.5, 0.8):
        yield from conclusions.assess_shortcuts(make_run_metrics(), make_metadata_metrics(shortcut=sure(value)))


def of_the_report() -> Iterator[Finding]:
    """What verdict, audit, protocol and model card say, in every case."""
    differences = (interval(0.01, 0.05, 0.1), interval(-0.05, 0.01, 0.1), interval(-0.1, -0.05, -0.01))
    for accuracy, sensitivity, specificity in product((LOW, HIGH, interval(0.7, 0.85, 0.9)), (LOW, HIGH), (LOW, HIGH)):
        metrics = make_run_metrics(accuracy=accuracy, sensitivity=sensitivity, specificity=specificity)
        metrics = changed(metrics, "gap.points.balanced", balanced_accuracy=interval(-0.1, -0.05, -0.01))
        for difference in differences:
            yield from (verdict.finding for verdict in assess_run(metrics, make_metadata_metrics(difference)))
    for files, own_split, header in product((0, 3), ([], ["a.png"]), (0.4, 0.9)):
        unknown = {"images": files, "share": files / 100}
        audit = {**AUDIT, "quarantine": {"files": files, "reasons": {}}, "unknown_patients": unknown}
        audit["published"] = {"as_published": False, "scale": 0.25 if files else None}
        evidence = make_evidence(
            audit=audit, own_split=own_split, metadata_baseline=make_metadata_baseline(header).model_dump()
        )
        yield from describe_data(read_options(evidence))
        yield from describe_protocol(read_options(evidence))
    for synthetic in (True, False):
        report = Report(synthetic=synthetic, data_licence="", num_test_looks=9)
        yield from describe_test_looks(make_run_metrics(), report)
    yield Finding("card_model", {"parameters": 392449})
    for architecture, size, is_pretrained in product(("plain", "residual", "ConvNeXtTiny"), (0, 4), (True, False)):
        network = {"architecture": architecture, "dense_units": size, "pretrained": is_pretrained}
        yield from describe_network(TINY_NETWORK.model_copy(update={**network, "batch_normalization": True}))
    yield Finding("card_data", {"images": 1, "groups": 1, "data_source": "phantoms", "licence": "MIT"})


def of_two_runs() -> Iterator[Finding]:
    better, worse = interval(0.01, 0.05, 0.1), interval(-0.1, -0.05, -0.01)
    for compared in (
        *(make_comparison(), make_comparison(auc=better), make_comparison(auc=worse)),
        make_comparison(auc=better, accuracy=worse),
    ):
        yield comparison.summarise_effect(compared.metrics)
        yield from comparison.list_differences(compared)
    alike = {"mcnemar": {"corrected": 0, "regressed": 0, "p": 1.0}}
    yield from comparison.list_differences(make_comparison(changes=alike))
    for steps in (80, 60):
        names = ("baseline_steps", "augmented_steps", "baseline_kept", "augmented_kept")
        stopped = {"stopped_early": ["baseline", "augmented"]}
        counts = {"steps": dict(zip(names, (80, steps, 70, 50), strict=True))}
        yield from comparison.describe_comparison(make_comparison(changes=counts | stopped))
    yield from comparison.describe_flips(make_comparison())
    nothing = interval(0.0, 0.0, 0.0)
    flips = {run: {"accuracy": make_difference(nothing)} for run in ("baseline", "augmented")}
    same = make_comparison(changes={"flips": flips}, **dict.fromkeys(METRICS, nothing))
    yield from comparison.list_differences(same)
    yield from comparison.describe_flips(same)
    differing = [{"name": "training.epochs", "first": 20, "second": 1}]
    study = {"num_seeds": 3, "fewest": 60, "most": 60, "value": 0.1, "low": 0.05, "high": 0.15}
    for quoted in (None, study):
        yield from comparison.qualify_answer(make_comparison(changes={"settings": differing, "study": quoted}))


def of_robustness() -> Iterator[Finding]:
    for verdict in ("depends", "does_not_depend", "undecided"):
        yield from conclusions.assess_maps(make_map_sanity(verdict))
    for border, centre in ((0.8, 0.8), (0.5, 0.95), (0.2, 0.95)):
        yield from conclusions.assess_occlusion(make_occlusion_table(border, centre))
        without_interval = {f"auc_change_{bound}": 0.0 for bound in ("low", "high")}
        yield from conclusions.assess_occlusion(make_occlusion_table(border, centre).assign(**without_interval))
    yield from conclusions.assess_robustness(make_robustness_table(**{kind: [0.5] for kind in KINDS}))
    yield from conclusions.assess_robustness(make_robustness_table(**{kind: [0.9] for kind in KINDS}))


def of_abstention() -> Iterator[Finding]:
    for referred, wrong in ((0.1, 0.1), (0.1, 0.6), (0.3, 0.6), (0.1, None), (None, None), (1.0, 1.0)):
        for reached, useful in ((0.95, (0.1, 0.4)), (0.5, None)):
            yield from of_abstention_in(make_abstention(referred, wrong, reached, useful))
    for value in (0.5, 1.5, 3.0, 7.0, 20.0):
        ratios = make_run_metrics(lr_positive=sure(value), lr_negative=sure(1 / (value + 0.2)))
        yield from of_abstention_in(make_abstention(), ratios)
    without_end = Interval(value=9, low=4, high=None).with_n(100).model_dump()
    metrics = changed(make_run_metrics(), "test.points.balanced", lr_positive=without_end)
    yield from of_abstention_in(make_abstention(), metrics)
    yield from of_abstention_in(make_abstention(area=0.1))


def of_abstention_in(abstention: Abstention, metrics: Metrics | None = None) -> Iterator[Finding]:
    band = {"max_referred": 0.1, "half_width": 0.5}
    metrics = changed(metrics or make_run_metrics(), "operating_point", band=band)
    yield from find_abstention(abstention, metrics)["abstention"]


def of_a_study() -> Iterator[Finding]:
    wide, better, worse = interval(-0.2, 0.0, 0.2), interval(0.01, 0.05, 0.1), interval(-0.1, -0.05, -0.01)
    nothing = interval(0.0, 0.0, 0.0)
    for both in ((wide, wide), (better, better), (worse, worse), (better, wide), (worse, wide), (nothing, nothing)):
        study = make_study(accuracy=both)
        yield from comparison.summarise_arms(study)
        yield from comparison.list_arm_differences(study)
        yield from comparison.describe_study(study)
    yield from comparison.describe_study(make_study(changes={"steps": {"fewest": 80, "most": 81}}))


def of_a_batch() -> Iterator[Finding]:
    read = Prediction(0.75, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
    contract = make_contract()
    unfit = contract.model_copy(update={"reference": make_reference(max_distance=0.05)})
    referring = make_contract(with_band(make_point(0.5)))
    yield from describe_batch(summarise_batch(pd.DataFrame([read._replace(refer=True)]), referring, "0123"))
    for each, num in ((Prediction.refuse("empty", ""), 1), (read, 1), (read, 90)):
        yield from describe_batch(summarise_batch(pd.DataFrame([each] * num), contract, "0123"))
    yield from describe_batch(summarise_batch(pd.DataFrame([read._replace(width=1, height=1)]), unfit, "0123"))
    alike = pd.DataFrame(dict.fromkeys(MEASURES, (np.arange(200) + 0.5) / 100))
    yield describe_shift(compare_with_reference(alike, make_reference()))


def of_an_external_set() -> Iterator[Finding]:
    low, high = sure(0.5).with_n(20), sure(0.9).with_n(20)
    shares = dict.fromkeys(("accuracy", "sensitivity", "specificity", "auc"), low)
    batch = summarise_batch(pd.DataFrame([Prediction.refuse("empty", "")]), make_contract(), "0123")
    read = Prediction(0.75, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
    evaluation = ExternalEvaluation(
        **{"title": "site B", "batch": batch, "num_unlabelled": 1, "num_patients": 3},
        **{"prevalence": 0.5, "internal_prevalence": 0.6, "counts": {"tn": 1, "fp": 1, "fn": 1, "tp": 1}},
        **{"answered": shares, "refused_as_errors": shares, "internal": shares},
        refused_by_class={"empty": {"NORMAL": 1, "PNEUMONIA": 0}},
    )
    yield from compare_with_internal(evaluation)
    compared = summarise_batch(pd.DataFrame([read]), make_contract(), "0123")
    for change in ({"answered": dict.fromkeys(shares, high)}, {"internal": dict.fromkeys(shares, high)}):
        yield from compare_with_internal(evaluation.model_copy(update={"batch": compared, **change}))


@cache
def list_findings() -> list[Finding]:
    """What every rule says, each once."""
    of_runs = (of_one_run, of_shortcuts, of_two_runs, of_robustness, of_abstention, of_a_study)
    made = chain.from_iterable(each() for each in (*of_runs, of_the_report, of_a_batch, of_an_external_set))
    return list({repr(each): each for each in made}.values())


@pytest.mark.parametrize("language", languages())
def test_every_finding_can_be_written_and_every_sentence_can_be_found(language: str) -> None:
    page = render("answer", {"in_numbers": list_findings()}, ABOUT, language)
    assert "{" not in page
    assert "None" not in page
    assert {finding.key for finding in list_findings()} == set(ENGLISH) - NOT_FINDINGS


STATED_OF_EVERY_RUN = {*("performance", "widest_interval", "other_point", "calibrated"), "try_other_hospital"}


def test_no_rule_fires_for_every_run() -> None:
    said = [{finding.key for finding in all_of(metrics, difference)} for metrics, difference in list_runs()]
    said += [{each.key for each in all_of(make_run_metrics(precision=NONE, ppv_realistic=NONE, npv_realistic=NONE))}]
    assert set.intersection(*said) == STATED_OF_EVERY_RUN


def keys_in(module: object) -> set[str]:
    """Every literal key of a Finding in a module: its first argument, or what is assigned to `key` or `keys`."""
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8"))
    places: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            places.append(node.args[0])
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("key", "keys"):
            places.append(node.value)
    found = set()
    while places:
        place = places.pop()
        if isinstance(place, ast.IfExp):
            places += [place.body, place.orelse]
        elif isinstance(place, ast.Dict):
            places += place.values
        elif isinstance(place, ast.Constant):
            found.add(str(place.value))
    return found


@pytest.mark.parametrize("module", [conclusions, comparison, abstention])
def test_every_key_that_a_rule_names_has_a_sentence(module: object) -> None:
    assert len(keys_in(module)) >= 8
    assert keys_in(module) <= set(ENGLISH)


def flatten(messages: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every text by its key, those in groups with a dot between the keys."""
    found: dict[str, str] = {}
    for key, text in messages.items():
        found |= flatten(text, f"{prefix}{key}.") if isinstance(text, dict) else {f"{prefix}{key}": str(text)}
    return found


def placeholders(text: str) -> list[tuple[str, str | None]]:
    """What a sentence fills in and how numbers are written, in the order of the names; without the English plurals."""
    fields = [(field, form) for _, field, form, _ in string.Formatter().parse(text) if field is not None]
    return sorted((field, "" if "|" in (form or "") else form) for field, form in fields)


@pytest.mark.parametrize("language", languages())
def test_every_language_has_all_sentences_with_the_same_values_and_digits(language: str) -> None:
    messages, english = flatten(read_messages(language)), flatten(ENGLISH)
    assert {key: placeholders(text) for key, text in messages.items()} == {
        key: placeholders(text) for key, text in english.items()
    }
    assert [key for key, text in messages.items() if not text or text != text.strip()] == []


def test_russian_is_russian_and_not_english_left_standing() -> None:
    messages, english = flatten(read_messages("ru")), flatten(ENGLISH)
    same = {key for key, text in messages.items() if text == english[key]}
    words = re.findall("[A-Za-z]+", " ".join(re.sub(r"\{.*?\}", "", english[key]) for key in same))
    assert set(words) <= {"AUC", "n", "Keras", "scikit", "learn", "Python"}
    without_words = {"decimal_mark", "bounds", "cells.at_half"}
    for key, text in messages.items():
        assert key in same | without_words or re.search("[а-яё]", text.lower()), key  # noqa: RUF001


def test_texts_of_the_configuration_exist_in_every_language() -> None:
    for path in sorted((ROOT / "conf").rglob("parameters*.yml")):
        source = yaml.safe_load(path.read_text(encoding="utf-8")).get("data_source")
        assert source is None or source in ENGLISH["given"], path
    for run in ("baseline", "augmented", "ensemble"):
        assert read_parameters()[run]["title"] in ENGLISH["given"]


def test_a_run_and_the_source_are_named_in_the_language_and_unknown_ones_as_they_are() -> None:
    messages = read_messages("ru")
    assert translate_text("with augmentation", messages) == "с аугментацией"  # noqa: RUF001
    assert translate_text("stronger", messages) == "stronger"


@pytest.mark.parametrize(("count", "expected"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (21, "21 images")])
def test_a_count_is_followed_by_the_singular_or_the_plural(count: int, expected: str) -> None:
    assert translate(Finding("told", {"count": count}), {"told": "{count:image|images}"}) == expected


def test_numbers_have_the_decimal_mark_of_the_language_and_words_keep_their_points() -> None:
    finding = Finding("told", {"share": 0.8333, "count": 3, "file": "a.png", "p": 4.8e-9})
    messages = {"told": "{share:.1%}, {count}, {file}, {p:.2g}. {share:+.2f}", "names": {}, "decimal_mark": ","}
    single = Finding(
        "told", {name: np.float32(each) if name == "share" else each for name, each in finding.values.items()}
    )
    assert translate(single, messages) == f"83,3%, 3, a.png, 4,8{TIMES}10⁻⁹. +0,83"
    assert translate(finding, messages) == f"83,3%, 3, a.png, 4,8{TIMES}10⁻⁹. +0,83"
    assert translate(finding, messages | {"decimal_mark": "."}) == f"83.3%, 3, a.png, 4.8{TIMES}10⁻⁹. +0.83"


def test_thousands_are_separated_as_the_language_requires() -> None:
    finding = Finding("told", {"weights": 262145})
    messages = {"told": "{weights:,}", "names": {}, "decimal_mark": ","}
    assert translate(finding, messages) == "262\N{NO-BREAK SPACE}145"
    assert translate(finding, messages | {"decimal_mark": "."}) == "262,145"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.9996, ".3f", "0.9996"),
        (0.99999999, ".3f", "0.99999999"),
        (1.0, ".3f", "1.000"),
        (0.0004, ".3f", "0.0004"),
        (0.0, ".3f", "0.000"),
        (0.9994, ".3f", "0.999"),
        (1.0004, ".3f", "1.000"),  # not a share
        (0.9996, ".1%", "99.96%"),
        (1.0, ".1%", "100.0%"),
        (0.0002, ".1%", "0.02%"),
        (0.996, ".0%", "99.6%"),
        (0.04, "+.1f", "+0.04"),
        (-0.04, "+.1f", "\N{MINUS SIGN}0.04"),
        (-0.96, "+.1f", "\N{MINUS SIGN}1.0"),
        (1e-17, "+.1f", "+0.0"),
        (-1e-17, ".3f", "0.000"),
        (-0.0, ".3f", "0.000"),
        (1e-12, ".3f", "< 0.001"),
        (1 - 1e-12, ".3f", "> 0.999"),
        (1 - 1e-12, ".1%", "> 99.9%"),
    ],
)
def test_no_number_is_rounded_to_a_certainty(value: float, form: str, text: str) -> None:
    assert format_number(value, form, {}) == text


@pytest.mark.parametrize("given", ["de", "", "EN", None, 3])
def test_only_languages_that_there_are_words_for_are_accepted_as_a_parameter(given: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"received the language {given!r}; expected one of en, ru.")):
        Language.model_validate(given)
    assert Language.model_validate("ru").root == "ru"


def test_every_metric_is_stated_with_the_number_of_images_and_its_interval_or_beside_one_that_has_it() -> None:
    inside_figures = {"labels.auc_alone", "labels.auc_with_interval"}  # beside the number of images of each class
    for key, text in flatten(ENGLISH).items():
        fields = {field for field, _ in placeholders(text) if key not in inside_figures}
        figures = {field.removesuffix("[value]") for field in fields if field.endswith("[value]")}
        for name in figures:
            assert {f"{name}[low]", f"{name}[high]"} <= fields or f"{name}[n]" in fields, key
        if figures:
            assert [field for field in fields if field.endswith("[n]") or field in ("num_images", "num_maps")], key


def test_a_language_that_nobody_wrote_is_refused() -> None:
    with pytest.raises(InputError, match=r"received the language 'tlh'; expected one of en"):
        render("answer", {}, ABOUT, language="tlh")


def test_names_are_translated_and_other_words_stay() -> None:
    messages = {"names": {"auc": "площадь", "width": "ширина"}, "told": "{one}; {several}; {plain}"}
    finding = Finding("told", {"one": Name("auc"), "several": (Name("auc"), Name("width")), "plain": "auc"})
    assert translate(finding, messages) == "площадь; площадь, ширина; auc"
    with pytest.raises(KeyError, match="depth"):
        translate(Finding("told", {**finding.values, "one": Name("depth")}), messages)


def test_a_page_has_its_title_source_headings_and_a_bullet_a_finding() -> None:
    sections = {
        "answer": [Finding("no_difference_shown", {})],
        "in_numbers": [],
        "how_compared": [Finding("one_seed", {})],
    }
    lines = render("comparison_title", sections, ABOUT).split("\n")
    assert lines[:3] == [
        "# Did augmentation help?",
        "",
        "Data: phantoms. For teaching and research; not a medical device, not for diagnosis.",
    ]
    assert lines[3:7] == [
        "",
        "## Answer",
        "",
        "- No difference shown: every 95% interval of the differences includes 0.",
    ]
    assert "## In numbers" not in lines  # nothing stands below it
    assert lines[8] == "## How the two were compared"
    assert lines[-1] == ""


def test_numbers_are_written_in_the_format_of_the_sentence() -> None:
    finding = Finding(
        "threshold_helps", {"at_half": sure(0.7654).with_n(9), "corrected": 6, "regressed": 0, "p": 2**-5}
    )
    page = render("answer", {"in_numbers": [finding]}, ABOUT)
    assert "accuracy would be 76.5% (75.5% to 77.5%, n = 9). The chosen threshold is better here" in page
    assert "p = 0.031" in page


def test_a_sentence_or_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_sentence"):
        render("answer", {"in_numbers": [Finding("no_such_sentence", {})]}, ABOUT)
    with pytest.raises(KeyError, match="at_half"):
        render("answer", {"in_numbers": [Finding("threshold_helps", {"p": 0.1})]}, ABOUT)


def test_text_of_the_user_is_escaped() -> None:
    from markdown_it import MarkdownIt

    source = "<img src=x> **bold** [a](b) `c` $x$ | # d_e_f"
    html = MarkdownIt("commonmark").render(render("conclusions_title", {}, {"data_source": source, "run": source}))
    assert "<img" not in html
    assert not any(tag in html for tag in ("<strong>", "<a ", "<code>", "<em>"))
    assert "&lt;img src=x&gt; **bold** [a](b) `c` $x$ | # d_e_f" in html


def test_the_intended_use_in_the_contract_is_translated() -> None:
    summary = summarise_batch(pd.DataFrame([Prediction.refuse("empty", "")]), make_contract(), "0123")
    assert summary.intended_use in ENGLISH["given"]
    (answered, *_) = describe_batch(summary)
    assert "children" not in translate(answered, read_messages("ru"))
