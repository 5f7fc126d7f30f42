"""The page: complete, in one file, and safe from text in file names. The model card agrees with what it describes."""

import re
import socket
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from chest_xray.core.types import InputError, Model
from chest_xray.images.kermany import CLASSES
from chest_xray.models.network import Network, build_network
from chest_xray.pipelines.evaluation.nodes import describe_model
from chest_xray.pipelines.report.nodes import write_model_card, write_report
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.i18n import Language, read_messages
from tests.builders import (
    NONE,
    TINY_NETWORK,
    changed,
    interval,
    make_metadata_metrics,
    make_point,
    make_run_metrics,
    sure,
)
from tests.reporting.inputs import HOSTILE, RECORD, TABLES, make_evidence, make_run_evidence

REAL = contents.Report(synthetic=False, data_licence="CC BY 4.0", num_test_looks=9)
PHANTOMS = contents.Report(synthetic=True, data_licence="MIT", num_test_looks=9)


class Elements(HTMLParser):
    """Reads the tags of a page with their attributes, its text outside `style`, and its headings."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.styling = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append((tag, dict(attrs)))
        self.styling = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        """Text after `style` is shown again."""
        self.styling = False if tag == "style" else self.styling

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if not self.styling:
            self.text.append(data)

    def values(self, tag: str, attribute: str) -> list[str | None]:
        """An attribute of every such tag."""
        return [attributes.get(attribute) for each, attributes in self.tags if each == tag]


def write(
    language: str = "en", report: contents.Report = REAL, evidence: dict[str, Any] | None = None, **runs: Any
) -> str:
    runs = runs or {run: make_run_evidence(run) for run in ("baseline", "augmented")}
    return write_report(evidence or make_evidence(), report, **runs)[language]


def test_gathering_opens_folders_of_figures_and_writes_options_as_plain_values() -> None:
    datasets = {"roc_curve": b"png", "figures": {"scores": b"1", "thresholds": b"2"}, "params_report": REAL}
    assert contents.make_storable(datasets) == {
        **{"roc_curve": b"png", "scores": b"1", "thresholds": b"2"},
        "params_report": {"synthetic": False, "data_licence": "CC BY 4.0", "num_test_looks": 9},
    }


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_part_is_there_in_order_and_every_link_leads_to_one(language: str) -> None:
    page = Elements(write(language))
    anchors = [anchor for anchor in page.values("section", "id") if anchor and "-" not in anchor]
    assert anchors == [
        *("summary", "augmentation", "augmented", "data", "protocol", "limits", "baseline", "environment", "glossary")
    ]
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert [name for name, times in Counter(identities).items() if times > 1] == []
    links = page.values("a", "href")
    assert links == ["#summary", *(f"#{anchor}" for anchor in anchors)]
    assert page.values("html", "lang") == [language]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_figure_and_table_that_is_declared_is_shown_with_its_words(language: str) -> None:
    messages = read_messages(language)
    page = write(language)
    elements = Elements(page)
    text = " ".join("".join(elements.text).split())
    everything = [
        *contents.COMPARISON,
        *contents.DATA,
        *(each for part in contents.RUN_PARTS.values() for each in part),
    ]
    for shown in everything:
        kind = "tables" if isinstance(shown, contents.TableEntry) else "figures"
        said = messages[kind][shown.key or shown.name if isinstance(shown, contents.TableEntry) else shown.name]
        assert (said["caption"] if kind == "figures" else said) in text
    num_figures = sum(isinstance(shown, contents.FigureEntry) for shown in (*contents.COMPARISON, *contents.DATA))
    num_figures += 2 * sum(
        isinstance(each, contents.FigureEntry) for part in contents.RUN_PARTS.values() for each in part
    )
    num_pictures = 4 + 2 * 4 * 3 * 2  # the summary's; of both runs, the kinds of decisions, images of each, in pairs
    assert len(elements.values("img", "src")) == num_figures + num_pictures
    assert all(elements.values("img", "alt"))
    assert "{" not in text.replace('{"language": "en"}', "")  # nothing was left to be filled in
    assert "None" not in text


@pytest.mark.parametrize("language", ["en", "ru"])
def test_cells_of_tables_show_words_and_not_keys(language: str) -> None:
    cells = re.findall(r"<t[dh][^>]*>\s*([^<]*?)\s*</t[dh]>", write(language))
    assert len(cells) > 50
    assert [cell for cell in cells if re.fullmatch(r"[a-z]+(_[a-z]+)+", cell)] == []
    assert [cell for cell in cells if language == "ru" and re.fullmatch(r"width|height|width / height", cell)] == []


def test_evidence_of_an_earlier_version_is_refused_and_not_shown_in_part() -> None:
    older = make_run_evidence("baseline")
    del older["abstention"], older["net_benefit"]
    with pytest.raises(InputError, match=r"run baseline lacks net_benefit, abstention; .* Gather it again: `kedro run"):
        write(baseline=older, augmented=make_run_evidence("augmented"))


def test_the_page_loads_nothing_and_contains_no_script() -> None:
    page = write()
    elements = Elements(page)
    addresses = [value or "" for _, each in elements.tags for name, value in each.items() if name in ("src", "href")]
    assert {re.split(r"[:,]", address)[0] for address in addresses if not address.startswith("#")} == {"data"}
    assert "script" not in {tag for tag, _ in elements.tags}
    assert not re.search(r"url\(|@import|//", page.split("<style>")[1].split("</style>")[0].replace("/*", ""))


def test_names_of_files_cannot_become_part_of_the_page() -> None:
    hostile_record = RECORD | {"command": f"kedro run --params=data_root={HOSTILE}"}
    evidence = make_evidence(params_data_source=HOSTILE, run_record=hostile_record)
    run = make_run_evidence(metrics=make_run_metrics(run=HOSTILE))
    page = write(evidence=evidence, augmented=run)
    elements = Elements(page)
    assert "<b>" not in page
    assert {"script", "b"} & {tag for tag, _ in elements.tags} == set()
    assert all((source or "").startswith("data:") for source in elements.values("img", "src"))
    assert "".join(elements.text).count(HOSTILE) >= 4  # title, source, command and quarantine show it as it is


def test_phantoms_are_distinguished_from_radiographs_at_the_top_and_in_the_limits() -> None:
    messages = read_messages("en")
    phantoms, real = write(report=PHANTOMS), write()
    assert messages["page"]["synthetic"] in phantoms.split("<h1>")[0]
    assert messages["page"]["synthetic"] not in real
    assert messages["page"]["not_a_device"] in real.split("<h1>")[0]
    marked = make_evidence()
    marked["params_report"] = {"synthetic": True, "data_licence": "MIT", "num_test_looks": 9}
    assert messages["limits_of_phantoms"]["easy"] in write(report=PHANTOMS, evidence=marked)
    assert messages["known_limits"]["labels"] in real


@pytest.mark.parametrize("language", ["en", "ru"])
def test_figures_that_do_not_exist_still_make_a_page(language: str) -> None:
    metrics = make_run_metrics(
        run="alone", by_aetiology={"viral": sure(0.9), "unknown": NONE.with_n(0)}, calibration={"slope": NONE.with_n(0)}
    )
    nothing = dict.fromkeys(("precision", "ppv_realistic", "mcc"), NONE.with_n(0))
    for at in ("at_half", "points.balanced", "points.sensitivity", "points.specificity"):
        metrics = changed(metrics, f"test.{at}", **nothing, tp=0, fn=0, fp=0)
    table = TABLES["metrics_table"].assign(value=None, low=None, high=None)
    run = make_run_evidence(metrics=metrics, metrics_table=table)
    page = write(language, evidence=make_evidence(quarantine=TABLES["quarantine"].head(0)), augmented=run)
    text = "".join(Elements(page).text)
    assert read_messages(language)["no_errors"].format(n=36) in text
    assert read_messages(language)["tables"]["quarantine"] not in text
    assert "nan" not in text.lower().split()


def test_a_split_of_the_user_is_reported_instead_of_the_rule_that_was_not_used() -> None:
    messages = read_messages("en")
    own = pd.DataFrame({"path": ["a.png"], "subset": ["train"]})
    page = write(evidence=make_evidence(own_split=own))
    assert messages["protocol_own_split"] in page
    assert "held out for validation, by whole patients" not in page
    assert "held out for validation, by whole patients" in write()


def test_the_verdict_is_on_the_last_run() -> None:
    weak = make_run_evidence("baseline", metrics=make_run_metrics(run="weak", accuracy=sure(0.6)))
    strong = make_run_evidence(metrics=make_run_metrics(run="strong", accuracy=sure(0.97)))
    messages = read_messages("en")
    for run, change in ((weak, interval(-0.3, -0.2, -0.1)), (strong, interval(0.01, 0.05, 0.1))):
        run["metadata_metrics"] = make_metadata_metrics(change)
    assert messages["verdict_good"] in write(baseline=weak, augmented=strong)
    assert messages["verdict_bad"] in write(augmented=strong, baseline=weak)


def test_a_checkout_without_git_is_reported() -> None:
    page = write(evidence=make_evidence(run_record=RECORD | {"git": None, "parameters": {}}))
    assert "no git repository" in page
    assert "0" * 40 in write()


SIZE = {"width": 24, "height": 16, "geometry": "stretch"}


@pytest.fixture(scope="module")
def model() -> Model:
    """A small network for images of 24 x 16 pixels."""
    keras.utils.set_random_seed(3)
    return build_network((16, 24), TINY_NETWORK)


def write_card(
    model: Model, language: str = "en", geometry: str = "stretch", network: Network = TINY_NETWORK, **metrics: Any
) -> str:
    run = make_run_evidence(
        metrics=make_run_metrics(run="with augmentation", **metrics),
        operating_point=make_point(0.437281).model_dump(),
    )
    evidence = make_evidence(params_preparation=SIZE | {"geometry": geometry}, params_model=network.model_dump())
    described = {**run, "described_model": describe_model(model)}
    return write_model_card(evidence, described, Language.model_validate(language))


def read_card(text: str) -> Any:
    """The card as the hub's own library reads it, untyped: what its metadata hold is not in its types."""
    return ModelCard(text)


def read_contract(card: Any) -> dict[str, str]:
    """The rows of the table that hold code."""
    return dict(re.findall(r"^\| (.+?) \| `(.+?)` \|$", card.text, re.MULTILINE))


def test_the_card_describes_the_network(model: Model) -> None:
    contract = read_contract(read_card(write_card(model)))
    assert contract["input shape"] == "[None, 16, 24, 1]" == str(list(model.input_shape))
    assert contract["output shape"] == str(list(model.output_shape))
    assert int(contract["weights"]) == sum(weights.size for weights in model.get_weights())
    assert contract["dtype"] == model.inputs[0].dtype == "float32"
    assert contract["labels"] == str(list(CLASSES))
    assert contract["value range (0 is black)"] == "[0, 1]"
    point = make_point(0.437281)
    for rule, each in point.points.items():
        assert contract[f"threshold (`{rule}`)"] == f"{each.threshold}`; log odds `{each.log_odds}"
    assert float(contract["temperature"]) == point.calibration.temperature


KINDS = {  # of layers, and how often a network of two blocks has them
    "plain": {"MaxPooling2D": 2, "Flatten": 1, "Add": 0, "GlobalAveragePooling2D": 0, "Dense": 2},
    "residual": {"MaxPooling2D": 1, "Flatten": 0, "Add": 2, "GlobalAveragePooling2D": 1, "Dense": 2},
    "MobileNetV3Small": {"Flatten": 0, "MaxPooling2D": 0, "Dense": 2},
}
SAID = {
    "plain": "2 blocks of Conv2D (2, 4 filters, kernel 3) and MaxPooling2D, and then Flatten",
    "residual": "2 residual blocks of two Conv2D each (2, 4 filters, kernel 3)",
    "MobileNetV3Small": "The network is MobileNetV3Small of `keras.applications`",
}


@pytest.mark.parametrize("architecture", KINDS)
def test_the_card_describes_the_network_that_was_built(architecture: str) -> None:
    options = TINY_NETWORK.model_copy(update={"architecture": architecture})
    model = build_network((32, 32), options)
    kinds = describe_model(model)["layers"]
    assert {kind: kinds.count(kind) for kind in KINDS[architecture]} == KINDS[architecture]
    text = " ".join(write_card(model, network=options).split())
    assert [each for each, said in SAID.items() if said in text] == [architecture]
    assert "It ends in a Dense layer of 4 units, dropout 0, and one sigmoid. It is trained from scratch." in text
    assert ("Flatten" in text) == (architecture == "plain")


def test_the_metadata_contain_the_metrics_and_their_source(model: Model) -> None:
    accuracy = interval(0.88, 0.9123, 0.93)
    card = read_card(write_card(model, accuracy=accuracy))
    results = {each.metric_type: each for each in card.data.eval_results}
    assert set(results) == {"accuracy", "recall", "specificity", "precision", "roc_auc"}
    assert results["accuracy"].metric_value == 0.9123
    assert results["accuracy"].metric_name == "accuracy (95% interval 0.880 to 0.930)"
    assert (results["recall"].metric_value, results["roc_auc"].metric_value) == (0.9, 0.9)
    assert {each.dataset_split for each in results.values()} == {"test"}
    assert results["accuracy"].dataset_name == make_evidence()["params_data_source"]
    assert (card.data.license, card.data.library_name) == ("mit", "keras")
    assert "synthetic" not in card.data.tags


def test_a_metric_that_does_not_exist_is_left_out(model: Model) -> None:
    card = read_card(write_card(model, precision=NONE))
    assert "precision" not in {each.metric_type for each in card.data.eval_results}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_card_has_subgroups_limits_data_and_licence(model: Model, language: str) -> None:
    text = read_card(write_card(model, language, by_aetiology={"viral": sure(0.75), "bacterial": sure(0.5)})).text
    assert "CC BY 4.0" in text
    assert re.search(r"0[.,]750 \[0[.,]740[,;] 0[.,]760\]", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(headings) == 5
    assert ("Limits" in headings) == (language == "en")
    assert "{" not in text.replace("{{", "")


@pytest.mark.parametrize("geometry", ["stretch", "crop", "pad"])
def test_the_code_on_the_card_runs_and_decides_as_the_network_does(
    model: Model, geometry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("model.keras")
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 50), np.uint8)).save("picture.jpeg")
    (code,) = re.findall(r"```python\n(.+?)```", write_card(model, geometry=geometry), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["images"].shape == (1, 16, 24, 1)
    assert 0 <= names["images"].min() <= names["images"].max() <= 1
    assert names["score"] == pytest.approx(float(model(names["images"])[0, 0]), abs=1e-6)
    assert names["probability"] == pytest.approx(names["score"], abs=1e-6)
    assert names["decision"] == CLASSES[int(names["score"] >= 0.437281)]


def test_writing_the_card_opens_no_connection(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert write_card(model).startswith("---\n")
