"""The command `chest-xray`, from a wheel and without a project folder."""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copy, copytree
from typing import Any
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from chest_xray.core.types import Array, InputError
from chest_xray.images.phantoms import draw_phantom
from chest_xray.models import shipping
from chest_xray.models.contract import CONTRACT, NETWORK
from chest_xray.models.inference import Predictor
from chest_xray.models.shipping import (
    KERAS,
    METRICS,
    NOTICE,
    PROJECT,
    SCORES,
    SHIPPED,
    TRAINED,
    Results,
    read_metrics,
    write_folder,
)
from chest_xray.serving import command_line
from chest_xray.serving.starting import read_folder
from tests import commands
from tests.builders import changed, encode, interval, make_contract, make_packaged, make_predictions, make_run_metrics
from tests.conftest import ROOT, copy_project, run_kedro, without_paths
from tests.dicom_files import make_dataset, write
from tests.serving.commands import started

# tf2onnx, which writes the ONNX file, asks NumPy for a name that will change its meaning.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning")
HEAVY = ("kedro", "keras", "tensorflow")
RUN = f"""
import sys
from chest_xray.serving.command_line import main
try:
    main()
finally:
    print("heavy:", [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
PATIENCE = 120  # seconds
SHOWN = {  # by path
    "serve": {"model": "contract"},
    "demo": {"en/sample/PNEUMONIA": "The label", "ru/sample/PNEUMONIA": "Разметка"},
}
SHIPPED_HERE = "src/chest_xray/models/shipped"
PREDICTIONS = make_predictions([0, 1, 0, 1], [0.1, 0.8, 0.6, 0.4])  # 3 of 4 pairs in order


def make_results(**changes: Any) -> Results:
    """The predictions, and metrics with their AUC."""
    test = {"num_images": 4, "auc": interval(0.5, 0.75, 0.9).with_n(4), **changes}
    return Results(changed(make_run_metrics(), "test", **test), PREDICTIONS)


def write_results(data: Path) -> None:
    """Write them where an evaluation stores them."""
    results = make_results()
    for folder in ("08_reporting", "07_model_output"):
        (data / folder / "augmented").mkdir(parents=True)
    (data / "08_reporting/augmented/metrics.json").write_text(results.metrics.model_dump_json(), "utf-8")
    paths = "/elsewhere/test/" + PREDICTIONS["path"]
    PREDICTIONS.assign(path=paths).to_parquet(data / "07_model_output/augmented/test_predictions.parquet")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `kedro ship` has filled, in a copy of the project; the metrics are made up."""
    project = copy_project(tmp_path_factory.mktemp("ship") / "project")
    make_packaged(project / "data/test/06_models/augmented/packaged.keras")
    write_results(project / "data/test")
    done = run_kedro(project, "ship", "--env=test", "--folder=src/chest_xray/models/shipped")
    assert done.returncode == 0, done.stderr
    folder = project / "src/chest_xray/models/shipped"
    assert done.stdout.endswith(f"Written: {SHIPPED_HERE}\n")
    return folder


@pytest.fixture(scope="module")
def project_without_runs(shipped: Path) -> Path:
    """That copy with its shipped network, but without the network that it was made from."""
    project = shipped.parents[3]
    (project / "data/test/06_models/augmented/packaged.keras").unlink(missing_ok=True)
    return project


@pytest.fixture(scope="module")
def installed(shipped: Path) -> Path:
    """The content of the wheel of that copy, in a folder that is like `site-packages`."""
    project = shipped.parents[3]
    for name in ("README.md", "LICENSE"):
        copy(ROOT / name, project)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", "dist"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=project, check=True)
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "site")
    return project / "site"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Phantoms as JPEG, PNG and DICOM."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    first, second, third = (draw_phantom(rng, aetiology) for aetiology in ("none", "bacterial", "viral"))
    files = {"a.jpeg": encode(first, "JPEG"), "b.png": encode(second), "c.dcm": write(make_dataset(third))}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


def start_installed(installed: Path, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=installed.parent / "dist", env=environment, text=True, **options)


def run_installed(installed: Path, *arguments: str) -> tuple[int, str, str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_installed(installed, *arguments, **pipes) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command_line.cli, arguments)


def predict(paths: Sequence[str], model: Path, *options: str) -> Result:
    return invoke("predict", *paths, f"--model={model}", *options)


def test_a_wheel_gives_the_probabilities_of_keras_without_importing_it(
    installed: Path, shipped: Path, pictures: list[str]
) -> None:
    code, out, err = run_installed(installed, "-c", RUN, "predict", "--json", *pictures)
    assert (code, err) == (0, "Not a medical device; not for diagnosis.\nheavy: []\n")
    answers = [json.loads(line) for line in out.splitlines()]
    expected = Predictor.load(shipped / KERAS).predict(pictures)
    assert [each["path"] for each in answers] == pictures
    assert [each["decision"] for each in answers] == [each.decision for each in expected]
    probabilities = np.array([each["probability"] for each in answers])
    np.testing.assert_allclose(probabilities, np.array([each.probability for each in expected], float), atol=1e-4)
    assert len(set(probabilities)) == 3
    use = (make_contract().intended_use, 0.5)
    assert {(each["intended_use"], each["expected_prevalence"]) for each in answers} == {use}
    assert {each["model"] for each in answers} == {Predictor.load(shipped).fingerprint}


def test_the_wheel_has_the_network_its_notice_and_the_script(installed: Path) -> None:
    names = {path.name for path in (installed / "chest_xray/models/shipped").iterdir()}
    assert names == {NETWORK, KERAS, CONTRACT, "ood_detector.npz", METRICS, SCORES, PROJECT, NOTICE}
    (script,) = installed.glob("*.dist-info/entry_points.txt")
    assert "chest-xray = chest_xray.serving.command_line:main" in script.read_text()
    notice = (installed / "chest_xray/models/shipped" / NOTICE).read_text("utf-8")
    assert "Weights (`network.onnx`, `packaged.keras`): MIT" in notice
    assert "Training data: SYNTHETIC phantoms drawn by this project, not radiographs; licence: MIT." in notice


def test_the_module_is_the_same_command(installed: Path, pictures: list[str]) -> None:
    code, out, _ = run_installed(installed, "-m", "chest_xray", "predict", *pictures)
    assert code == 0
    assert "3 of 3 files answered." in out


@pytest.mark.parametrize("command", SHOWN)
def test_a_wheel_serves_its_network_without_tensorflow_and_kedro(command: str, installed: Path, tmp_path: Path) -> None:
    options = ["--no-browser"] if command == "demo" else []
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        start_installed(installed, "-c", RUN, command, "--port=0", *options, stderr=file) as process,
    ):
        try:
            url = wait_for_url(process, log)
            for path, shown in SHOWN[command].items():
                data = b"" if command == "demo" else None
                with urlopen(f"{url}/{path}", data, timeout=PATIENCE) as answer:
                    assert shown in answer.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert "Traceback" not in log.read_text()
    assert "heavy: []" in log.read_text()


def test_a_server_in_a_project_uses_the_network_that_was_trained_there(
    project_without_runs: Path, tmp_path: Path
) -> None:
    make_packaged(project_without_runs / TRAINED, calibration_bias=1.0)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "chest_xray", "serve", "--port=0"]
    environment = without_paths() | {"PYTHONPATH": str(project_without_runs / "src")}
    with (
        log.open("w") as file,
        commands.start(command, cwd=project_without_runs, env=environment, stderr=file.fileno()) as process,
    ):
        try:
            with urlopen(f"{wait_for_url(process, log)}/model", timeout=PATIENCE) as answer:
                fingerprint = json.load(answer)["fingerprint"]
        finally:
            process.kill()
            (project_without_runs / TRAINED).rename(tmp_path / "trained.keras")
    assert str(TRAINED) in re.sub(r"\s+", "", log.read_text())
    assert fingerprint == Predictor.load(tmp_path / "trained.keras").fingerprint


def wait_for_url(process: Any, log: Path) -> str:
    for _ in range(10 * PATIENCE):
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        try:
            process.wait(0.1)
            break
        except subprocess.TimeoutExpired:
            pass
    pytest.fail(f"No server: {log.read_text()}")


def test_the_table_has_a_row_a_file_and_the_use_of_the_network_below(
    shipped: Path, pictures: list[str], tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    done = predict([*pictures[:1], str(text)], shipped)
    head, first, second, *rest = done.stdout.splitlines()
    assert head.split() == ["path", "probability", "decision", "ood_score"]
    (answer,) = Predictor.load(shipped).predict(pictures[:1])
    assert first.split() == [pictures[0], f"{answer.probability:.4f}", answer.decision, f"{answer.ood_score:.2f}"]
    assert re.match(rf"{text} +- +refused +-  not_an_image: begins with .*; expected JPEG, PNG or DICOM$", second)
    assert rest == [
        "",
        "1 of 2 files answered.",
        "Probabilities assume that 50.0% of the patients have pneumonia.",
        f"Network {Predictor.load(shipped).fingerprint}. Meant for: {make_contract().intended_use}",
    ]
    assert done.stderr == "Not a medical device; not for diagnosis.\n"
    assert done.exit_code == 1


def test_a_network_with_a_band_refers_to_a_human_instead_of_naming_a_class(
    shipped: Path, pictures: list[str], tmp_path: Path
) -> None:
    folder = copytree(shipped, tmp_path / "network")
    contract = json.loads((folder / CONTRACT).read_text("utf-8"))
    contract["operating_point"]["band"] = {"max_referred": 0.1, "half_width": 50.0}
    (folder / CONTRACT).write_text(json.dumps(contract), "utf-8")
    done = predict(pictures[:1], folder)
    row = done.stdout.splitlines()[1]
    (answer,) = Predictor.load(shipped).predict(pictures[:1])
    assert row.split()[2] == "refer"
    assert row.endswith(f"refer to a human: near the threshold, leans to {answer.decision}")
    assert "1 of 1 files answered, 1 of them referred to a human." in done.stdout
    assert done.exit_code == 0
    told = json.loads(predict(pictures[:1], folder, "--json").stdout)
    assert (told["refer"], told["decision"]) == (True, answer.decision)
    assert "10% of corrupted validation" in invoke("info", f"--model={folder}").stdout
    assert "packaged without a referral band" in invoke("info", f"--model={shipped}").stdout


def test_a_refused_file_has_its_reason_in_json(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    done = predict([str(tmp_path / "empty.png"), str(tmp_path / "none.png")], shipped, "--json")
    empty, missing = map(json.loads, done.stdout.splitlines())
    assert (empty["probability"], empty["decision"], empty["reason"]) == (None, None, "empty")
    assert missing["reason"] == "unreadable"
    assert missing["detail"] == (
        "No such file or directory; expected a JPEG, PNG or DICOM file that you may read, or a folder of them. "
        "Check the path"
    )
    assert done.exit_code == 1


def test_folders_are_expanded_to_the_files_below_them_but_junk(
    shipped: Path, pictures: list[str], tmp_path: Path
) -> None:
    (tmp_path / "patient/day").mkdir(parents=True)
    for file in (tmp_path / "patient/day/a.jpeg", tmp_path / "patient/.DS_Store", tmp_path / "b.jpeg"):
        copy(pictures[0], file)
    done = predict([str(tmp_path)], shipped, "--json")
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [
        str(tmp_path / "b.jpeg"),
        str(tmp_path / "patient/day/a.jpeg"),
    ]
    assert done.exit_code == 0


def test_a_file_without_read_permission_is_refused_with_what_is_expected(
    shipped: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, _: path != pictures[0])  # Root may read every file.
    done = predict(pictures[:1], shipped)
    assert "unreadable: Permission denied; expected a JPEG, PNG or DICOM file that you may read" in done.stdout
    assert done.exit_code == 1


def test_an_empty_folder_is_an_error(shipped: Path, tmp_path: Path) -> None:
    done = predict([str(tmp_path)], shipped)
    assert "unreadable: no file in this folder; expected JPEG, PNG or DICOM files" in done.stdout
    assert done.exit_code == 1


def test_a_file_above_the_limit_is_refused_unread(shipped: Path, pictures: list[str]) -> None:
    done = predict(pictures[:1], shipped, "--max-megabytes=0.001")
    assert "too_large: 0 MB; files of at most 0.001 MB are opened" in done.stdout
    assert done.exit_code == 1


def test_names_of_files_cannot_control_the_terminal(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "\x1b[2Ja\n.png").touch()
    done = predict([str(tmp_path)], shipped)
    assert f"{tmp_path}/\\x1b[2Ja\\n.png" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [["predict"], ["predict", "a.png", "--jsn"], ["prodict"], ["info", "--model=/no"]]
)
def test_mistakes_in_the_command_end_with_code_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize("command", [["predict", "a.png"], ["info"], ["serve"], ["demo"]])
def test_without_a_shipped_network_the_message_states_how_to_name_one(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipping, "SHIPPED", tmp_path)
    monkeypatch.setattr(sys, "argv", ["chest-xray", *command])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "Not a medical device; not for diagnosis.\n"
        f"Error: no network is shipped with this package: {tmp_path / NETWORK} or packaged.keras beside it is missing. "
        "Name a network with --model: a folder that `kedro ship --folder FOLDER` wrote, or the packaged.keras of "
        "`kedro run --pipelines=export`.\n"
    )


def test_info_has_the_contract_and_the_metrics_with_intervals(shipped: Path) -> None:
    done = invoke("info", f"--model={shipped}")
    assert done.exit_code == 0
    assert f"{shipped} (fingerprint {Predictor.load(shipped).fingerprint})" in done.stdout
    assert "PNEUMONIA from a probability of 0.500 (balanced)" in done.stdout
    assert re.search(r"accuracy 0\.900 \[[\d.]+, [\d.]+\], sensitivity .* AUC 0\.750 \[.*4 images of 80", done.stdout)


def test_info_of_a_network_without_metrics_is_reported(shipped: Path) -> None:
    done = invoke("info", f"--model={shipped / KERAS}")
    assert "no metrics beside this network" in done.stdout


def test_options_change_the_parameters_of_the_server(shipped: Path) -> None:
    changes = {"port": 8123, "host": None, "language": "ru"}
    project = read_folder(shipped, changes)
    assert (project.options.port, project.options.host, project.options.language) == (8123, "127.0.0.1", "ru")
    with pytest.raises(InputError, match=r"packaged\.keras lacks project\.json; .*`kedro ship --folder FOLDER`"):
        read_folder(shipped / KERAS, changes)


def test_the_pipeline_predicts_with_the_shipped_network_where_there_is_no_other(
    project_without_runs: Path, shipped: Path, pictures: list[str]
) -> None:
    done = run_kedro(
        project_without_runs, "run", "--env=test", "--pipelines=prediction", f"--params=images={pictures[0]}"
    )
    assert done.returncode == 0, done.stderr
    assert "packaged.keras of this package, since this environment has none of its own" in re.sub(
        r"\s+", " ", done.stdout + done.stderr
    )
    table = pd.read_csv(project_without_runs / "data/test/07_model_output/predictions/all.csv")
    (expected,) = Predictor.load(shipped / KERAS).predict(pictures[:1])
    assert table["probability"].tolist() == pytest.approx([expected.probability], abs=1e-6)


def test_kedro_serve_answers_with_the_shipped_network_where_there_is_no_other(
    project_without_runs: Path, shipped: Path, tmp_path: Path
) -> None:
    with started("serve", project_without_runs, tmp_path) as server:
        with urlopen(f"{server.url}/model", timeout=PATIENCE) as answer:
            fingerprint = json.load(answer)["fingerprint"]
        assert "of this package, since this environment has none" in re.sub(r"\s+", " ", server.log.read_text())
    assert fingerprint == Predictor.load(shipped).fingerprint


def damage(shipped: Path, folder: Path, name: str, data: bytes) -> Path:
    copytree(shipped, folder)
    (folder / name).write_bytes(data)
    return folder


def test_a_folder_without_a_file_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a packaged network \(.*network\.onnx.*`kedro ship --folder FOLDER`"):
        Predictor.load(tmp_path)


def test_a_damaged_network_is_refused(shipped: Path, tmp_path: Path) -> None:
    damaged = damage(shipped, tmp_path / "a", NETWORK, (shipped / NETWORK).read_bytes()[:500])
    with pytest.raises(InputError, match=r"network\.onnx cannot be loaded: .* Write the folder again: `kedro ship"):
        Predictor.load(damaged)


def test_a_network_whose_input_contradicts_its_contract_is_refused(shipped: Path, tmp_path: Path) -> None:
    contract = json.loads((shipped / CONTRACT).read_bytes())
    contract["input"]["shape"] = [None, 64, 32, 1]
    damaged = damage(shipped, tmp_path / "a", CONTRACT, json.dumps(contract).encode())
    with pytest.raises(InputError, match=r"takes images of shape \[32, 32, 1\], but contract\.json has \[64, 32, 1\]"):
        Predictor.load(damaged)


def test_a_network_that_differs_from_keras_is_not_written(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compute = Predictor.compute_logits

    def differ(predictor: Predictor, pixels: Array) -> Array:
        return compute(predictor, pixels) + (8e-4 if predictor.fingerprint == by_keras.fingerprint else 0)

    packaged = (shipped / KERAS).read_bytes()
    by_keras = Predictor.load(packaged)
    monkeypatch.setattr(Predictor, "compute_logits", differ)
    with pytest.raises(InputError, match=r"differ by up to 0\.0002 from those of Keras; expected at most 0\.0001"):
        write_folder(packaged, tmp_path, {"data_source": ""}, None, {})
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_scores_in_bfloat16_is_not_shipped(tmp_path: Path) -> None:
    packaged = make_packaged(tmp_path / "packaged.keras", precision="mixed_bfloat16").read_bytes()
    with pytest.raises(InputError, match=r"computes in bfloat16; expected float32, as ONNX does"):
        write_folder(packaged, tmp_path / "folder", {"data_source": ""}, None, {})
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_network_of_phantoms_is_not_put_into_the_wheel_by_default(empty_project: Path) -> None:
    done = run_kedro(empty_project, "ship", "--env=test")
    assert done.returncode != 0
    assert "received an environment of synthetic phantoms; expected radiographs for the network of" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (empty_project / "src/chest_xray/models/shipped").exists()


def test_a_network_of_another_origin_than_its_metrics_is_not_shipped(project: Path, tmp_path: Path) -> None:
    file = project / "data/test/06_models/augmented/packaged.keras"
    make_packaged(file)
    entry = {"digest": "0" * 32, "made_from": {}}
    (project / "data/test/lineage.json").write_text(json.dumps({"augmented.packaged_keras": entry}))
    done = run_kedro(project, "ship", "--env=test", f"--folder={tmp_path / 'box'}")
    assert done.returncode != 0
    assert "augmented.packaged_keras" in done.stderr
    assert "is not as it was written" in done.stderr
    assert not (tmp_path / "box").exists()


def test_the_package_ships_a_whole_network_or_none() -> None:
    if SHIPPED.exists():
        Predictor.load(SHIPPED)
        assert (SHIPPED / NOTICE).is_file()
    if (SHIPPED / SCORES).exists():
        metrics, scores = read_metrics(SHIPPED), pd.read_csv(SHIPPED / SCORES)
        assert metrics is not None
        assert len(scores) == metrics.test.num_images
        assert roc_auc_score(scores["label"], scores["logit"]) == pytest.approx(metrics.test.auc.value)


def test_scores_of_test_images_are_shipped_without_where_the_images_were(shipped: Path) -> None:
    scores = pd.read_csv(shipped / SCORES)
    assert scores.columns.tolist() == ["path", "label", "logit", "probability"]
    assert scores["path"].tolist()[:2] == ["test/NORMAL/000.png", "test/PNEUMONIA/001.png"]
    assert scores["label"].tolist() == [0, 1, 0, 1]
    assert scores["probability"].tolist() == pytest.approx([0.1, 0.8, 0.6, 0.4])
    assert expit(scores["logit"]).tolist() == pytest.approx([0.1, 0.8, 0.6, 0.4])


@pytest.mark.parametrize("changes", [{"num_images": 5}, {"auc": interval(0.5, 0.8, 0.9).with_n(4)}])
def test_metrics_of_other_predictions_are_not_shipped(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"predictions are of 4 test images with an AUC of 0\.750000, the metrics of"):
        shipping._tabulate_scores(make_results(**changes))


def test_a_network_trained_in_this_folder_answers_and_is_named(
    shipped: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_packaged(tmp_path / TRAINED, calibration_bias=1.0)
    monkeypatch.chdir(tmp_path)
    done = invoke("predict", "--json", pictures[0])
    assert "Network: data/06_models/augmented/packaged.keras, trained in this folder; --model names" in done.stderr
    (trained,), (other,) = (Predictor.load(each).predict(pictures[:1]) for each in (tmp_path / TRAINED, shipped))
    assert json.loads(done.stdout)["probability"] == pytest.approx(trained.probability, abs=1e-6)
    assert trained.probability != pytest.approx(other.probability, abs=1e-3)
    assert "Network:" not in invoke("predict", pictures[0], f"--model={shipped}").stderr


def test_the_overlay_has_the_shape_of_the_picture(shipped: Path, pictures: list[str], tmp_path: Path) -> None:
    target = tmp_path / "seen.png"
    done = predict(pictures[:1], shipped, f"--overlay={target}")
    assert done.exit_code == 0
    assert re.search(rf"{target}: coloured where covering .* lowers the log odds .* at most by \d+\.\d\.", done.stdout)
    with Image.open(target) as picture, Image.open(pictures[0]) as original:
        assert max(picture.size) == 512
        assert picture.width / picture.height == pytest.approx(original.width / original.height, rel=0.01)


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        (["a.jpeg", "b.png"], "seen.png", "received 2 files; --overlay draws one"),
        (["a.jpeg"], "no/folder/seen.png", r"cannot write .*seen\.png: No such file"),
    ],
)
def test_an_overlay_that_cannot_be_drawn_is_an_error(
    names: list[str], target: str, message: str, shipped: Path, pictures: list[str], tmp_path: Path
) -> None:
    folder = Path(pictures[0]).parent
    done = predict([str(folder / name) for name in names], shipped, f"--overlay={tmp_path / target}")
    assert re.search(message, done.stderr + str(done.exception))
    assert done.exit_code != 0


def test_a_refused_file_has_no_overlay(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    done = predict([str(tmp_path / "empty.png")], shipped, f"--overlay={tmp_path / 'seen.png'}")
    assert done.exit_code == 1
    assert not (tmp_path / "seen.png").exists()
