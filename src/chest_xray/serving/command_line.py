"""The command `chest-xray`: a packaged network without a project folder; predicts without TensorFlow or Kedro."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from chest_xray import __version__
from chest_xray.core.files import ListedFile
from chest_xray.core.types import InputError
from chest_xray.images.validation import is_junk
from chest_xray.metrics.operating_point import OperatingPoint, format_probability
from chest_xray.metrics.results import Metrics
from chest_xray.models.batch import escape_invalid, predict_files
from chest_xray.models.inference import Prediction, Predictor, Relaxation
from chest_xray.models.shipping import TRAINED, find_network, find_shipped_network, read_metrics
from chest_xray.serving.options import address_options, page_options

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
PROJECT = Path("pyproject.toml")  # of the project around `TRAINED`
CHUNK = 1024  # files, after which answers are printed
SHOWN_METRICS = ("accuracy", "sensitivity", "specificity")


@click.group(name="chest-xray")
@click.version_option(__version__)
def cli() -> None:
    """Look for pneumonia in chest radiographs of children, for teaching and research."""
    click.echo("Not a medical device; not for diagnosis.", err=True)


def main() -> None:
    """Run the command; a mistake of the user ends it with code 2 and a sentence."""
    try:
        cli(prog_name="chest-xray")
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


def model_option(kind: str, also: str = "") -> Callable[..., Any]:
    """Return the option `--model`, whose help names the kind of path."""
    path = click.Path(exists=True, path_type=Path)
    return click.option("--model", type=path, help=f"{kind}; without it, the network of this package{also}.")


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@model_option(
    "Folder of `kedro ship`, or a packaged.keras (which needs TensorFlow)", f", or ./{TRAINED} where it exists"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--overlay", type=click.Path(dir_okay=False, path_type=Path), help="Draw what one file's answer rests on: OUT.png."
)
@click.option("--max-megabytes", type=float, default=500, show_default=True, help="Larger files are refused unread.")
@click.option("--turn-upright", is_flag=True, help="Turn what lies or is upside down, and answer with a warning.")
@click.option("--answer-adults", is_flag=True, help="Answer for adults, by the DICOM header, with a warning.")
def predict(
    paths: tuple[str, ...], model: Path | None, as_json: bool, overlay: Path | None, max_megabytes: float, **checks: Any
) -> None:
    """Classify JPEG, PNG and DICOM files, or all files in folders.

    The exit code is 0 if every file was answered, 1 if one was refused, and 2 if the command cannot run.
    """
    files = [file for path in paths for file in list_files(path)]
    if overlay and len(files) > 1:
        raise click.UsageError(f"received {len(files):,} files; --overlay draws one. Name one file.")
    if overlay and checks["turn_upright"]:
        raise click.UsageError("received --overlay and --turn-upright; expected one of them. Turn the file itself.")
    predictor = _load(model).relax(Relaxation(**{name: True for name, is_set in checks.items() if is_set}))
    names = [escape_invalid(file.name) for file in files]
    width = max(len(_escape(name)) for name in names)
    if not as_json:
        click.echo(f"{'path':<{width}}  probability  decision   ood_score")
    num_refused = num_referred = 0
    for name, prediction in zip(names, _predict(predictor, files, max_megabytes), strict=True):
        num_refused += prediction.reason is not None
        num_referred += bool(prediction.refer)
        click.echo(_to_json(name, prediction, predictor) if as_json else _to_row(name, prediction, width))
    if not as_json:
        referred = f", {num_referred} of them referred to a human" if predictor.contract.operating_point.band else ""
        answered = f"{len(files) - num_refused} of {len(files)} files answered{referred}."
        click.echo(f"\n{answered}\n{_describe_use(predictor)}")
    if overlay and not num_refused:
        click.echo(_draw_overlay(predictor, files[0].path, overlay), err=as_json)
    sys.exit(1 if num_refused else 0)


def _load(model: Path | None) -> Predictor:
    """Load a network, by default one that was trained in the current folder; that it is used is printed."""
    path = model or find_network()
    if model is None and path == TRAINED:
        click.echo(f"Network: {path}, trained in this folder; --model names another.", err=True)
    return Predictor.load(path)


def list_files(path: str) -> list[ListedFile]:
    """Return a file, or all files below a folder but those that operating systems leave behind, in order of path."""
    if not Path(path).is_dir():
        return [_list_file(path)]
    failures: list[OSError] = []
    paths = [
        f"{folder}/{name}"
        for folder, _, names in os.walk(path, onerror=failures.append)
        for name in names
        if not is_junk(f"{folder}/{name}".removeprefix(path).lstrip("/"))
    ]
    files = [*map(_list_file, paths), *(_refuse(str(error.filename), error) for error in failures)]
    return sorted(files) or [ListedFile(path, path, 0, "", "no file in this folder; expected JPEG, PNG or DICOM files")]


def _list_file(path: str) -> ListedFile:
    try:
        size = Path(path).stat().st_size
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return ListedFile(path, path, size, "", "")
    except (OSError, ValueError) as error:
        return _refuse(path, error)


def _refuse(path: str, error: Exception) -> ListedFile:
    reason = getattr(error, "strerror", None) or error
    problem = f"{reason}; expected a JPEG, PNG or DICOM file that you may read, or a folder of them. Check the path"
    return ListedFile(path, path, 0, "", problem)


def _predict(predictor: Predictor, files: list[ListedFile], max_megabytes: float) -> Iterator[Prediction]:
    for start in range(0, len(files), CHUNK):
        yield from predict_files(predictor, files[start : start + CHUNK], max_megabytes)


def _draw_overlay(predictor: Predictor, path: str, target: Path) -> str:
    """Write the evidence for pneumonia over the picture, and return what the colours mean.

    Raises:
        InputError: The target cannot be written.
    """
    from chest_xray.images.corruptions import locate_evidence, scale_evidence
    from chest_xray.models.gradcam import overlay_evidence
    from chest_xray.serving.page_contents import draw_picture, encode_png

    picture = draw_picture(Path(path).read_bytes(), predictor.preparation, predictor.limits)
    image = predictor.read(path)
    if picture is None or isinstance(image, Prediction):
        raise InputError(f"{path} was answered, but cannot be read again; expected an unchanged file. Run again.")
    falls = locate_evidence(predictor.compute_logits, image.pixels)
    try:
        target.write_bytes(encode_png(overlay_evidence(picture, scale_evidence(falls))))
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}. Name another file with --overlay.") from error
    most = max(float(falls.max()), 0)
    return (
        f"{target}: coloured where covering a part of the picture lowers the log odds of pneumonia, at most by "
        f"{most:.1f}.\nIt shows where, not why; a plausible map does not prove that the answer is right."
    )


def _to_json(name: str, prediction: Prediction, predictor: Predictor) -> str:
    return json.dumps({"path": name, **prediction._asdict(), **predictor.describe_use()}, allow_nan=False)


def _to_row(name: str, prediction: Prediction, width: int) -> str:
    start, ood_score = f"{_escape(name):<{width}}", prediction.ood_score
    score = f"{'-' if ood_score is None else f'{ood_score:.2f}':>9}"
    if prediction.probability is None:
        return f"{start}  {'-':>11}  refused    {score}  {prediction.reason}: {_escape(prediction.detail)}"
    notes = f"  refer to a human: near the threshold, leans to {prediction.decision}" if prediction.refer else ""
    notes += f"  warning: {', '.join(prediction.warnings.split())}" if prediction.warnings else ""
    answer = "refer" if prediction.refer else f"{prediction.decision}"
    return f"{start}  {format_probability(prediction.probability, 4):>11}  {answer:<9}  {score}{notes}"


def _escape(text: str) -> str:
    """Escape characters that would control the terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _describe_use(predictor: Predictor) -> str:
    prevalence = predictor.contract.operating_point.calibration.expected_prevalence
    return (
        f"Probabilities assume that {prevalence:.1%} of the patients have pneumonia.\n"
        f"Network {predictor.fingerprint}. Meant for: {predictor.contract.intended_use}"
    )


@cli.command("dicom-sr")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@model_option("Folder of `kedro ship`, or a packaged.keras (which needs TensorFlow)")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where reports go.")
def write_dicom_reports(paths: tuple[str, ...], model: Path | None, folder: Path) -> None:
    """Write a DICOM Structured Report of each answer or refusal.

    The exit code is 0 if every file has a report, and 1 if one has not.
    """
    from chest_xray.models.structured_report import write_reports

    files = [file for path in paths for file in list_files(path)]
    num_failed = 0
    for name, problem in write_reports(_load(model), [file.path for file in files], folder):
        num_failed += bool(problem)
        click.echo(f"{_escape(escape_invalid(name))}: {_escape(problem) or 'reported'}")
    click.echo(f"\n{len(files) - num_failed} of {len(files)} reports in {folder}.")
    sys.exit(1 if num_failed else 0)


@cli.command()
@model_option(
    "Folder of `kedro ship`, or a packaged.keras (which needs TensorFlow)", f", or ./{TRAINED} where it exists"
)
def info(model: Path | None) -> None:
    """Describe the network: its file, contract and metrics on test."""
    path, predictor = model or find_network(), _load(model)
    contract, checks = predictor.contract, predictor.contract.input_checks
    point, preparation = contract.operating_point, contract.input.preparation
    chosen = point.chosen
    rows = {
        "network": f"{path} (fingerprint {predictor.fingerprint})",
        "input": f"{preparation.width} x {preparation.height} px, {contract.input.channel} ({preparation.geometry})",
        "decision": f"{contract.labels[1]} from a probability of {format_probability(chosen.threshold)} ({point.rule})"
        f"; on corrupted validation sensitivity {chosen.sensitivity:.3f}, specificity {chosen.specificity:.3f}",
        "refers": _describe_band(point),
        "prevalence": f"{point.calibration.expected_prevalence:.1%}, which probabilities assume",
        "refuses": f"an OOD score above {checks.limits.max_ood_score:.2f}, {checks.refused['validation']:.1%} of "
        "validation; by the DICOM header other modalities, body parts, views, and adults; colour, blank, too small or "
        "too large images; other files",
        "trained on": f"{contract.training_data.num_images:,} images, with "
        + ", ".join(f"{name} {version}" for name, version in contract.packages.items()),
        "meant for": contract.intended_use,
        "test": _describe_test(read_metrics(path)),
    }
    click.echo("\n".join(f"{name:<12}{text}" for name, text in rows.items()))


def _describe_band(point: OperatingPoint) -> str:
    if point.band is None:
        return "nothing to a human; it was packaged without a referral band"
    bounds = [format_probability(bound) for bound in point.bounds]
    share = f"{point.band.max_referred:.0%} of corrupted validation"
    return f"to a human between probabilities of {' and '.join(bounds)}, {share}"


def _describe_test(metrics: Metrics | None) -> str:
    if metrics is None:
        return "no metrics beside this network"
    test = metrics.test
    shown = {name: getattr(test.at_chosen, name) for name in SHOWN_METRICS} | {"AUC": test.auc}
    lines = [f"{name} {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]" for name, metric in shown.items()]
    size = f"{test.num_images:,} images of {test.num_groups:,} patients"
    return f"{', '.join(lines)} ({size}; 95% intervals)"


@cli.command()
@address_options
@model_option("Folder of `kedro ship`", f", or ./{TRAINED} where it exists")
def serve(model: Path | None, **options: Any) -> None:
    """Classify images over HTTP. The interface is described at /openapi.json."""
    _start(model, options, None, with_page=False)


@cli.command()
@address_options
@model_option("Folder of `kedro ship`", f", or ./{TRAINED} where it exists")
@page_options
@click.option("--data-root", type=FOLDER, help="Offer radiographs of DIR/test/NORMAL and DIR/test/PNEUMONIA to try.")
def demo(model: Path | None, browser: bool, data_root: Path | None, **options: Any) -> None:
    """Open a page on this machine for images of your own."""
    _start(model, options, data_root, with_page=True, browser=browser)


def _start(
    model: Path | None, options: dict[str, Any], data_root: Path | None, with_page: bool, browser: bool = False
) -> None:
    import logging

    from chest_xray.serving.starting import read_folder, read_here, start

    if model is None and find_network() == TRAINED and PROJECT.is_file():
        project = read_here(options, data_root)
    else:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        project = read_folder(model or find_shipped_network(), options, data_root)
    start(project, with_page=with_page, browser=browser)
