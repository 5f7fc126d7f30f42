"""What `notebooks/xray_nn.ipynb` leaves out of sight: the Kedro project around it, its conclusions, its translation."""

import hashlib
import logging
import os
import platform
import re
import time
import warnings
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from nbconvert.preprocessors import Preprocessor
from traitlets import Enum

from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame, Figure, Model
from chest_xray.metrics.operating_point import OperatingPoint, add_calibrated
from chest_xray.metrics.results import CountedDecisions, Decisions, Interval, Metrics
from chest_xray.metrics.summary import count_decisions
from chest_xray.reporting.i18n import (
    Finding,
    format_number,
    languages,
    read_messages,
    render,
    translate,
    translate_text,
)
from chest_xray.reporting.style import Labels, localise_ticks

SHOWN = ("how_well", "where_it_fails", "validation_and_test", "what_to_try")  # sections of the conclusions
METRICS = ("accuracy", "precision", "sensitivity", "specificity")
PREPARED = ("prepared_images", "image_split", "corrupted_validation_images")
PACKAGES = ("chest_xray", "kedro", "keras", "tensorflow")


class Evaluated(NamedTuple):
    """The results of one network: metrics, decisions on corrupted validation, evidence to compare, and conclusions.

    The evidence has `decisions`, `history` and `settings`, as `compare_runs` reads them.
    """

    metrics: Metrics
    corrupted: CountedDecisions
    evidence: dict[str, Any]
    conclusions: dict[str, list[Finding]]

    @property
    def decisions(self) -> DataFrame:
        """One row a test image; see `decide_images`."""
        table: DataFrame = self.evidence["decisions"]
        return table


class Project:
    """The Kedro project around a notebook, and the results of the networks that the notebook trains.

    Environment variables: `KEDRO_ENV`; without it the radiographs are used if they are in place, else the phantoms.
    `CHEST_XRAY_DATA_ROOT`: folder of the radiographs. `CHEST_XRAY_LANGUAGE`: "en" or "ru".
    """

    def __init__(self) -> None:
        from kedro.utils import find_kedro_project

        folder = find_kedro_project(Path.cwd())
        if folder is None:
            raise FileNotFoundError(
                f"{Path.cwd()} is in no Kedro project; expected the notebook in a folder of the chest-xray repository, "
                "such as notebooks/ or src/. Copy it there."
            )
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(folder / "conf" / "logging.yml"))
        from kedro.framework.startup import bootstrap_project  # It configures logging.

        bootstrap_project(folder)
        warnings.filterwarnings("ignore", "IProgress not found")  # no bars in a notebook
        logging.getLogger("chest_xray").setLevel(logging.WARNING)
        self.folder, self.data_root = folder, os.environ.get("CHEST_XRAY_DATA_ROOT")
        has_radiographs = self.data_root or (folder / "data/01_raw/chest_xray/train").is_dir()
        self.environment = os.environ.get("KEDRO_ENV") or ("local" if has_radiographs else "demo")
        self.language = os.environ.get("CHEST_XRAY_LANGUAGE", "en")
        self._messages = read_messages(self.language)
        self._columns: dict[str, str] = self._messages["notebook"]["columns"]
        self._is_local = self._messages["decimal_mark"] != "."
        if self._is_local:
            pd.set_option("display.float_format", lambda value: format_number(value, "g", self._messages))
        self.catalog = self._open_session().load_context().catalog
        self.data_source = translate_text(self.load("params:data_source"), self._messages)
        self._display(self._translate("data", source=self.data_source, environment=self.environment))

    def load(self, name: str) -> Any:
        """Load a dataset or `params:...` from the catalog."""
        return self.catalog.load(name)

    def prepare_images(self) -> DataFrame:
        """Run what the notebook needs of the pipeline `data_processing`, and return one row an image.

        Images that have not changed since an earlier run are not decoded again.
        """
        start = time.monotonic()
        with self._open_session() as session:
            session.run(pipeline_names=["data_processing"], to_outputs=PREPARED)
        images: DataFrame = self.load("image_split")
        self._display(self._translate("prepared", num_files=len(images), seconds=time.monotonic() - start))
        return images

    def show(self, figure: Figure) -> None:
        """Show a figure of pyplot below the source of its data."""
        from IPython.display import Image, display
        from matplotlib import pyplot

        if self._is_local:
            for axes in figure.axes:
                localise_ticks(axes, Labels(self.data_source, self.language))
        file = BytesIO()
        kind = "jpeg" if any(axes.images for axes in figure.axes) else "png"  # A quarter of the bytes for pictures.
        figure.savefig(file, format=kind, dpi=100)
        pyplot.close(figure)
        titles = "; ".join(axes.get_title().replace("\n", ", ") for axes in figure.axes)
        self._display(self._translate("figure_data", source=self.data_source))
        display(Image(file.getvalue(), alt=titles))  # type: ignore[no-untyped-call]

    def build_network(self) -> Model:
        """Build the untrained network that `kedro run` trains."""
        from chest_xray.models.network import build_network

        return build_network(self.load("prepared_images").shape[1:], self.load("params:model"))

    def choose_threshold(self, model: Model, run: str) -> tuple[OperatingPoint, DataFrame]:
        """Choose the threshold of `run`, "baseline" or "augmented", on corrupted validation, as `kedro run` does.

        Returns:
            The operating point, and the calibrated scores of the corrupted images.
        """
        from chest_xray.images.corruptions import ValidationCorruptions
        from chest_xray.pipelines.modeling import nodes

        corruptions = ValidationCorruptions.model_validate(self.load("params:validation_corruptions"))
        images, split = self.load("corrupted_validation_images"), self.load("image_split")
        corrupted = nodes.predict_corrupted_validation(model, images, split, corruptions)
        rule, settings = self.load("params:operating_point"), self.load(f"params:{run}")
        point = nodes.choose_operating_point(corrupted, rule, settings)
        return point, add_calibrated(corrupted, point)

    def evaluate(self, model: Model, history: Any, point: OperatingPoint, corrupted: DataFrame) -> Evaluated:
        """Evaluate a trained network at the point of `choose_threshold`; `history` is what its `fit` returned."""
        from chest_xray.pipelines.evaluation import nodes
        from chest_xray.reporting.conclusions import find_conclusions

        images, split, settings = map(self.load, ("prepared_images", "image_split", "params:evaluation"))
        validation = nodes.predict_validation(model, images, split, point)
        test = nodes.predict_test(model, images, split, point)
        metrics = nodes.compute_metrics(validation, test, point, settings)
        epochs = _tabulate_epochs(history)
        sections = find_conclusions(metrics, epochs, nodes.measure_metadata_baseline(test, split, metrics, settings))
        rule = self.load("params:operating_point")
        evidence = {
            "decisions": nodes.decide_images(test, corrupted, point, rule, epochs),
            "history": epochs,
            "settings": {"training": {"epochs": history.params["epochs"]}},
        }
        conclusions = {name: sections[name] for name in SHOWN}
        return Evaluated(metrics, count_decisions(corrupted, point.chosen), evidence, conclusions)

    def tabulate(self, decisions: dict[str, Decisions | CountedDecisions]) -> DataFrame:
        """Return accuracy, precision, recall and specificity of decisions, with 95% intervals."""
        rows = {}
        for name, counted in decisions.items():
            num_images = counted.tn + counted.fp + counted.fn + counted.tp
            rates = {self._columns[metric]: self._format(getattr(counted, metric)) for metric in METRICS}
            rows[name] = {self._columns["images"]: num_images, **rates}
        return pd.DataFrame(rows).T

    def show_conclusions(self, evaluated: Evaluated) -> None:
        """Show the sentences that the numbers of one network support."""
        self._show_page("conclusions_title", evaluated.conclusions, run=evaluated.metrics.run)

    def compare(self, baseline: Evaluated, augmented: Evaluated) -> DataFrame:
        """Compare two networks on the same test images, show what this supports, and return one row a metric."""
        from chest_xray.pipelines.augmentation import nodes
        from chest_xray.reporting.comparison import find_comparison

        pairs = nodes.pair_decisions(baseline.evidence, augmented.evidence)
        settings = self.load("params:evaluation")
        comparison = nodes.compare_runs(pairs, baseline.evidence, augmented.evidence, settings, {"study": None})
        self._show_page("comparison_title", find_comparison(comparison))
        columns = ["baseline", "augmented", "difference", "low", "high"]
        table: DataFrame = nodes.tabulate_comparison(comparison).set_index("metric")[columns].round(3)
        return table.rename(index=self._columns, columns=self._columns).rename_axis(None)

    def describe(self, cells: list[str]) -> None:
        """Show the versions of the packages, and a digest of the cells that were executed."""
        packages = [f"{name} {import_module(name).__version__}" for name in PACKAGES]
        versions = [*packages, f"Python {platform.python_version()}"]
        digest = hashlib.sha256("\n".join(cells).encode()).hexdigest()[:16]
        self._display(self._translate("made_by", versions=", ".join(versions), digest=digest))

    def _open_session(self) -> Any:
        from kedro.framework.session import KedroSession

        where = {"data_root": self.data_root} if self.data_root else {}
        parameters = {"language": self.language, **where}
        return KedroSession.create(self.folder, env=self.environment, runtime_params=parameters)

    def _translate(self, key: str, **values: Any) -> str:
        return translate(Finding(key, values), self._messages | self._messages["notebook"])

    def _show_page(self, title: str, sections: dict[str, list[Finding]], **about: str) -> None:
        page = render(title, sections, {"data_source": self.data_source, **about}, self.language)
        self._display(re.sub("^#", "###", page, flags=re.MULTILINE))

    def _format(self, rate: Interval) -> str:
        if rate.value is None or rate.low is None or rate.high is None:  # A share has no bound of None.
            return ""
        value, low, high = (format_number(bound, ".3f", self._messages) for bound in (rate.value, rate.low, rate.high))
        return f"{value} {self._messages['bounds'].format(low, high)}"

    @staticmethod
    def _display(text: str) -> None:
        from IPython.display import Markdown, display

        display(Markdown(text))  # type: ignore[no-untyped-call]


def _tabulate_epochs(history: Any) -> DataFrame:
    """Return what `fit` returned as the node `train_model` does: the last epoch is kept."""
    table = pd.DataFrame(history.history).assign(epoch=[1 + epoch for epoch in history.epoch])
    return table.assign(steps=table["epoch"] * history.params["steps"], kept=table["epoch"] == table["epoch"].max())


class Translate(Preprocessor):
    """Replaces the title, the Markdown cells and parts of the code by the texts of `NAME.LANGUAGE.yml`.

    The file is beside the notebook. Of a code cell it has the comments and labels, each with its translation. To be run
    before the notebook is executed: nbconvert executes before it calls other preprocessors.
    """

    language = Enum(languages(), default_value="en").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Return the notebook in the language, and nbconvert's resources.

        Raises:
            KeyError: The text of a Markdown cell is missing, the message is the cell's id; or a text that is to be
                translated is not in its code cell.
        """
        if self.language != "en":
            place = resources["metadata"]
            file = Path(place["path"], f"{place['name']}.{self.language}.yml")
            texts = yaml.safe_load(file.read_text(encoding="utf-8"))
            nb.metadata.title = texts["title"]
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source = texts[cell.id]
                    continue
                for text, translated in texts.get(cell.id, {}).items():
                    if text not in cell.source:
                        raise KeyError(f"{cell.id}: {text!r} is not in the cell; change {file.name}")
                    cell.source = cell.source.replace(text, translated)
        return nb, resources
