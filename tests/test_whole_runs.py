"""The project as users run it: every pipeline on small phantoms, from the command line, and its outputs."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from markupsafe import escape

from chest_xray.images.view_examples import VIEWS
from chest_xray.pipelines.experiments.pipeline import OTHER_SEEDS
from tests.browser import count_sheets, open_browser
from tests.conftest import ROOT, copy_project, run_kedro, start_kedro

ENVIRONMENT = "--env=test"
DATA_PROCESSING = ("run", ENVIRONMENT, "--pipelines=data_processing")
DEFAULT = ("data_processing", "modeling", "evaluation", "augmentation", "report")
AFTER_DATA_PROCESSING = (*DEFAULT[1:], "ensemble", "export", "prediction", "external")  # Download has its own test.
PAGES_OF_RUNS = ("baseline/conclusions.md", "augmented/conclusions.md")
RUNS = ("baseline", "augmented", "ensemble")
MEMBERS = ("seed_2",)  # of the ensemble here, besides `augmented`
# Nothing outside its pipeline reads them.
PASSED_IN_MEMORY = {
    *("indexed_images", "readable_images", "{run}.untrained_model", "{run}.training_sets"),
    *("undecodable_rows", "{run}.occluded_examples", "evidence", "{run}.described_model"),
}
EXPORTED = ("contract.json", "packaged.keras", "packaged.onnx", "packaged.tflite")  # of one run alone


def read_catalog() -> dict[str, Any]:
    files = sorted((ROOT / "conf/base").glob("catalog_*.yml"))
    return {name: entry for file in files for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items()}


def place(entry: dict[str, Any]) -> str:
    return str(entry.get("filepath", "")).replace("${globals:data_dir}", "data/test")


def declared_outputs(runs: tuple[str, ...]) -> set[str]:
    """Every file or folder that the catalog names and a run leaves, with each run in the place of `{run}`."""
    made = {place(entry) for entry in read_catalog().values() if not entry["type"].endswith("StoredArraysDataset")}
    made |= {f"{each}.json" for each in made if each.endswith(".npy")}  # what is known of an array
    named = {each.replace("{run}", run) for each in made for run in runs if each.startswith("data/test/0")}
    # A checkpoint is deleted after training; the ensemble is not trained.
    not_made = {f"data/test/06_models/{run}/checkpoint.npz" for run in runs}
    not_made |= {f"data/test/01_raw/download/{name}.json" for name in ("archive", "unpacked")}
    not_made |= {"data/test/08_reporting/ensemble/learning_curves.png"}
    not_made |= {f"data/test/06_models/ensemble/{name}" for name in ("trained_model.keras", "settings.json")}
    not_made |= {name for name in named if name.endswith(EXPORTED) and "/augmented/" not in name}
    not_made |= {name for name in named if "/study" in name or name.endswith("/training_state.npz")}  # See below.
    # Cross-validation is on request.
    not_made |= {name for name in named if re.match("data/test/03_primary/.*/|.*/recipe_score.json", name)}
    return named - not_made


def declared_by_a_study(runs: tuple[str, ...]) -> set[str]:
    """What the catalog names of a study and its runs: of each the training, and the test predictions alone."""
    made = {place(entry) for entry in read_catalog().values()}
    of_runs = {
        *("06_models/{run}/training_state.npz", "06_models/{run}/model.keras", "06_models/{run}/operating_point.json"),
        *("06_models/{run}/trained_model.keras", "06_models/{run}/settings.json"),
        *("06_models/{run}/history.csv", "07_model_output/{run}/corrupted_predictions.parquet"),
        *("07_model_output/{run}/test_predictions.parquet", "08_reporting/{run}/learning_curves.png"),
        *("07_model_output/{run}/decisions.parquet", "08_reporting/{run}/corruption_metrics.json"),
    }
    assert {f"data/test/{each}" for each in of_runs} <= made
    named = {f"data/test/{each}".replace("{run}", run) for each in of_runs for run in runs}
    return named | {each for each in made if "{run}" not in each and re.search("/study|/test_openings", each)}


def declared_of_members() -> set[str]:
    """What the catalog names of a member of the ensemble: its training, its predictions and its figures."""
    reports = (
        "learning_curves.png",
        "corruption_metrics.json",
        "metrics.json",
        "metrics_table.csv",
        "metadata_metrics.json",
    )
    folders = {
        "06_models": ("trained_model.keras", "model.keras", "operating_point.json", "history.csv", "settings.json"),
        "07_model_output": tuple(f"{name}_predictions.parquet" for name in ("corrupted", "validation", "test")),
        "08_reporting": reports,
    }
    return {f"data/test/{folder}/{run}/{name}" for folder in folders for name in folders[folder] for run in MEMBERS}


def made_in(project: Path) -> set[str]:
    """Every file below the data folder, but for the raw images; what is stored as a folder counts as one.

    A file in such a folder that has an entry of its own in the catalog counts as itself. A figure or a page in Russian
    belongs to the one in English beside it.
    """
    in_folders = ("FigureFolderDataset", "ShardedTableDataset")
    folders = {place(entry) for entry in read_catalog().values() if entry["type"].endswith(in_folders)}
    entries = {place(entry) for entry in read_catalog().values()} - folders
    found = [path.relative_to(project).as_posix() for path in (project / "data").rglob("*") if path.is_file()]
    files = {re.sub(r"\.ru(?=\.(png|html)$)", "", name) for name in found}
    patterns = [re.compile(re.escape(each).replace(r"\{run\}", "[^/]+") + "(?=/)") for each in folders]
    names = {
        name if name in entries else next((match[0] for each in patterns if (match := each.match(name))), name)
        for name in files
    }
    locks = (".run.lock", ".run.lock.json", ".prediction.lock", ".prediction.lock.json")
    own = {f"data/test/{name}" for name in (*locks, "lineage.json")}  # of the runs themselves
    return {name for name in names if not name.startswith("data/test/01_raw/")} - own


def read_predictions(project: Path, run: str) -> pd.DataFrame:
    folder = project / "data/test/07_model_output" / run
    tables = [pd.read_parquet(folder / f"{subset}_predictions.parquet") for subset in ("validation", "test")]
    return pd.concat(tables, ignore_index=True)


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace a text that has to be in a source file once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def seeds(names: tuple[str, ...]) -> str:
    """How the source of the pipeline writes them."""
    return f"OTHER_SEEDS = ({', '.join(map(json.dumps, names))}{',' * (len(names) == 1)})"


def write_english_alone(project: Path) -> None:
    """Remove the other language; what the default pipeline draws and writes is in both."""
    (project / "src/chest_xray/reporting/i18n/ru.yml").unlink()


@pytest.fixture(scope="module")
def prepared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which data_processing has run; tests leave its data as they are."""
    project = copy_project(tmp_path_factory.mktemp("prepared") / "project")
    done = run_kedro(project, *DATA_PROCESSING)
    assert done.returncode == 0, done.stderr
    write_english_alone(project)
    return project


@pytest.fixture(scope="module")
def step_by_step(
    prepared_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """A project in which each pipeline ran alone, in order; and what each printed."""
    project = copy_project(tmp_path_factory.mktemp("step_by_step") / "project")
    shutil.copytree(prepared_project / "data", project / "data")
    replace_once(project / "src/chest_xray/pipelines/experiments/pipeline.py", seeds(OTHER_SEEDS), seeds(MEMBERS))
    folder = prepared_project / "data/test/01_raw/phantoms/test"
    images = {"prediction": [f"--params=images={folder}"], "external": [f"--params=external_root={folder}"]}
    printed = {}
    for name in AFTER_DATA_PROCESSING:
        if name == "ensemble":
            write_english_alone(project)
        printed[name] = run_kedro(project, "run", ENVIRONMENT, f"--pipelines={name}", *images.get(name, []))
    return project, printed


def test_each_pipeline_runs_alone_and_writes_every_output_of_the_catalog(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, printed = step_by_step
    for name, done in printed.items():
        assert done.returncode == 0, f"{name}: {done.stderr}"
    assert made_in(project) == declared_outputs(RUNS) | declared_of_members()


def test_a_run_prints_one_short_line_a_node_and_an_epoch_and_then_its_results(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, printed = step_by_step
    lines = [line for name in DEFAULT[1:] for line in printed[name].stderr.splitlines()]
    start = r"[\d:]{8} INFO +"
    of_nodes = re.compile(rf"{start}(?:\d+/\d+ [\w.]+, [\d.]+ s|\d+ nodes in \d+ s\.)")
    of_epochs = re.compile(rf"{start}Epoch (\d)/2: accuracy .*, val_loss [\d.]+")
    of_pages = re.compile(
        rf"{start}(?:Run with(?:out)? augmentation: accuracy .*|Report \(in Russian: report\.ru\.html\)): (\S+)"
    )
    others = [line for line in lines if not of_nodes.fullmatch(line) and not of_epochs.fullmatch(line)]
    found = map(of_pages.fullmatch, others)
    opened = [each[1] if each else "" for each in found]
    assert opened == [f"data/test/08_reporting/{each}" for each in (*PAGES_OF_RUNS, "report.html")]
    assert all((project / path).is_file() for path in opened)
    assert [match[1] for line in lines if (match := of_epochs.fullmatch(line))] == ["1", "2"] * 2
    # The demo trains 20 epochs where the test trains 2, and prepares its images.
    assert len(lines) + 2 * (20 - 2) + 10 <= 120
    assert max(len(line) for line in lines if of_nodes.fullmatch(line)) < 80


def test_in_memory_datasets_are_only_used_inside_their_pipeline() -> None:
    assert {name for name, entry in read_catalog().items() if entry["type"] == "MemoryDataset"} == PASSED_IN_MEMORY


def test_all_figures_and_pages_name_the_data_source(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, _ = step_by_step
    folder = project / "data/test/08_reporting"
    pages = [*sorted(folder.rglob("*.md")), folder / "report.html"]
    assert (
        len(pages) == 2 * len(RUNS) + 3
    )  # conclusions and robustness checks of each run, one comparison, the model card, and the report
    for page in pages:
        assert "SYNTHETIC phantoms drawn by this project, not radiographs" in page.read_text(encoding="utf-8")


def test_the_report_is_a_single_moderate_file_that_states_its_data_are_synthetic(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, _ = step_by_step
    page = (project / "data/test/08_reporting/report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 8_000_000
    assert "<strong>SYNTHETIC DATA.</strong>" in page.split("<h1>")[0]
    record = json.loads((project / "data/test/08_reporting/run_record.json").read_text())
    assert (record["environment"], record["pipelines"], record["git"]) == ("test", ["report"], None)
    assert record["command"].endswith("run --env=test --pipelines=report")
    assert str(escape(record["command"])) in page
    card = ModelCard.load(project / "data/test/08_reporting/model_card.md")
    metrics = json.loads((project / "data/test/08_reporting/augmented/metrics.json").read_text())
    (accuracy,) = [each.metric_value for each in card.data.eval_results if each.metric_type == "accuracy"]
    assert accuracy == round(metrics["test"]["points"]["balanced"]["accuracy"]["value"], 4)


def test_what_is_not_folded_in_the_report_fits_few_screens_and_sheets(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]], tmp_path: Path
) -> None:
    folder = step_by_step[0] / "data/test/08_reporting"
    with open_browser(tmp_path) as browser:
        screen = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        for name in ("report.html", "report.ru.html"):
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.get((folder / name).resolve().as_uri())
            assert browser.execute_script("return document.documentElement.scrollHeight") <= 12 * 900
            assert count_sheets(browser) <= 15


def test_the_report_is_written_in_both_languages_and_the_card_in_the_configured_one(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]], project: Path
) -> None:
    shutil.copytree(step_by_step[0] / "data", project / "data")
    done = run_kedro(project, "run", ENVIRONMENT, "--pipelines=report", "--params=language=ru")
    assert done.returncode == 0, done.stderr
    folder = project / "data/test/08_reporting"
    assert '<html lang="en">' in (folder / "report.html").read_text(encoding="utf-8")
    assert "СИНТЕТИЧЕСКИЕ ДАННЫЕ" in (folder / "model_card.md").read_text(encoding="utf-8")
    page = (folder / "report.ru.html").read_text(encoding="utf-8")
    assert '<html lang="ru">' in page
    assert "СИНТЕТИЧЕСКИЕ ДАННЫЕ" in page
    heads = set(re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page))
    assert {head for head in heads if head.isascii()} <= {"n", "AUC", "Keras", "scikit-learn", "5%", "95%"}
    refused = run_kedro(project, "run", ENVIRONMENT, "--pipelines=report", "--params=language=tlh")
    assert refused.returncode != 0
    assert "received the language 'tlh'; expected one of en, ru" in refused.stderr.replace("\n", " ")
    assert "Traceback" not in refused.stderr


def test_a_third_run_needs_one_line_and_no_catalog_entry_and_with_one_seed_predicts_the_same(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]], project: Path
) -> None:
    shutil.copytree(step_by_step[0] / "data", project / "data")
    last = '        "augmentation": augmentation.create_pipeline(),\n'
    third = '        "third": modeling.create_pipeline("third") + evaluation.create_pipeline("third"),\n'
    replace_once(project / "src/chest_xray/pipeline_registry.py", last, last + third)
    write_english_alone(project)
    # The settings of another run, so that the results should be the same.
    settings = (project / "conf/base/parameters_augmentation.yml").read_text(encoding="utf-8")
    (project / "conf/base/parameters_third.yml").write_text(settings.replace("augmented:", "third:"), encoding="utf-8")
    done = run_kedro(project, "run", ENVIRONMENT, "--pipelines=third")
    assert done.returncode == 0, done.stderr
    assert made_in(project) == declared_outputs((*RUNS, "third")) | declared_of_members()
    augmented, third_run = (read_predictions(project, run) for run in ("augmented", "third"))
    pd.testing.assert_frame_equal(third_run, augmented, check_exact=True)
    assert (augmented["probability"] != read_predictions(project, "baseline")["probability"]).any()


def test_a_killed_study_resumes_and_trains_nothing_twice(prepared_project: Path, project: Path) -> None:
    shutil.copytree(prepared_project / "data", project / "data")
    whole, small = "experiments.create_study()", 'experiments.create_study(("none", "flip"), (1, 2))'
    replace_once(project / "src/chest_xray/pipeline_registry.py", whole, small)
    write_english_alone(project)
    command = ("run", ENVIRONMENT, "--pipelines=study")
    killed = start_kedro(project, *command)
    while len(states := sorted(project.glob("data/test/06_models/*/training_state.npz"))) < 2:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -9, "the study was over before it was killed"
    over = min(states, key=lambda path: path.stat().st_mtime_ns)
    left = over.read_bytes()
    resumed = run_kedro(project, *command)
    assert resumed.returncode == 0, resumed.stderr
    assert "Training resumes after epoch 2 of 2" in resumed.stderr
    assert over.read_bytes() == left
    before = made_in(prepared_project)
    runs = ("study_none_1", "study_none_2", "study_flip_1", "study_flip_2")
    assert made_in(project) - before == declared_by_a_study(runs)
    table = pd.read_csv(project / "data/test/08_reporting/study/study_table.csv")
    assert set(table["arm"]) == {"none", "flip"}
    page = (project / "data/test/08_reporting/study/study_conclusions.md").read_text(encoding="utf-8")
    assert "SYNTHETIC phantoms drawn by this project, not radiographs" in page


def test_predictions_of_single_images_equal_the_evaluation(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    output = step_by_step[0] / "data/test/07_model_output"
    found = pd.read_parquet(output / "predictions/all.parquet").set_index("path")
    known = pd.read_parquet(output / "augmented/test_predictions.parquet").set_index("path").loc[found.index]
    point = json.loads((step_by_step[0] / "data/test/06_models/augmented/operating_point.json").read_text())
    assert len(found) == 26
    scored = found["reason"].isna()
    assert set(found.loc[~scored, "reason"]) <= set(VIEWS[1:])
    assert scored.sum() > 13
    np.testing.assert_allclose(found["probability"][scored], known["probability"][scored], rtol=1e-4)
    expected = (known["log_odds"] >= point["points"][point["rule"]]["log_odds"]).map(
        {True: "PNEUMONIA", False: "NORMAL"}
    )
    assert found["decision"][scored].tolist() == expected[scored].tolist()
    # A column that is empty throughout would be read as numbers.
    words = dict.fromkeys(("decision", "reason", "detail", "warnings"), "str")
    table = pd.read_csv(output / "predictions/all.csv", index_col="path", dtype=words)
    pd.testing.assert_frame_equal(table.fillna({"detail": "", "warnings": ""}), found, check_dtype=False)


def test_index_split_and_pixels_are_aligned(prepared_project: Path) -> None:
    data = prepared_project / "data/test"
    split = pd.read_parquet(data / "03_primary/image_split.parquet")
    pixels = np.load(data / "03_primary/prepared_images.npy")
    assert pixels.shape == (len(split), 32, 32) == (110, 32, 32)
    assert set(split["subset"]) == {"train", "validation", "test"}
    names = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode", "subset"]
    assert split.columns.tolist() == names


def test_the_metadata_baseline_is_kept_for_later_reports(prepared_project: Path) -> None:
    rules = json.loads((prepared_project / "data/test/08_reporting/metadata_baseline.json").read_text())["features"]
    assert list(rules) == ["width", "height", "aspect"]
    for rule in rules.values():
        assert {"threshold", "direction", "test"} <= set(rule)
        assert list(rule["test"]) == ["num", "accuracy", "sensitivity", "specificity", "auc"]
        assert rule["test"]["num"] == 26


def test_a_second_run_computes_nothing_and_leaves_the_same_split(prepared_project: Path) -> None:
    before = (prepared_project / "data/test/03_primary/image_split.parquet").read_bytes()
    second = run_kedro(prepared_project, *DATA_PROCESSING)
    assert "Preparing: nothing has changed, 110 rows are stored already" in second.stderr
    assert "Hashing: nothing has changed, 110 rows are stored already" in second.stderr
    assert (prepared_project / "data/test/03_primary/image_split.parquet").read_bytes() == before


def test_a_split_table_of_the_user_is_applied(prepared_project: Path, project: Path) -> None:
    shutil.copytree(prepared_project / "data", project / "data")
    own = pd.read_parquet(project / "data/test/03_primary/image_split.parquet")
    own["path"] = own["path"].str.replace(str(prepared_project), str(project))
    own["subset"] = own["subset"].replace("validation", "train").where(own["group"] != "IM-0003", "validation")
    own[["path", "subset"]].to_csv(project / "split.csv", index=False)
    write_english_alone(project)
    followed = run_kedro(project, *DATA_PROCESSING, "--params=split_table=split.csv")
    assert followed.returncode == 0, followed.stderr
    split = pd.read_parquet(project / "data/test/03_primary/image_split.parquet")
    assert split.loc[split["subset"] == "validation", "group"].unique().tolist() == ["IM-0003"]
