"""A study's results as objects: tables, pictures and text of either kind of study."""

import base64
import functools
import html
import io
import pathlib
from collections.abc import Callable
from typing import ParamSpec

import matplotlib
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from keras_confusion.comparisons import clustering, study_results
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.confusion import store as confusion_store
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import (
    confusion_report,
    confusion_tables,
    prototype_report,
)
from keras_confusion.reports.figures import (
    comparison_figures,
    findings_figure,
    prototype_figures,
    prototype_grids,
)
from keras_confusion.reports.figures import style as figure_style
from keras_confusion.storage.checks import echo
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

P = ParamSpec("P")

# Lines of the text that a notebook shows below the picture.
_HTML_LINES = 12


def _shown_in_notebooks(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """A method whose figure a notebook shows, also where nothing imported pyplot."""

    @functools.wraps(plot)
    def shown(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = plot(*args, **kwargs)
        # What IPython looks for, and figures of Matplotlib have not.
        figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    return shown


def open_study(
    directory, *, test: str = comparison_findings.DEFAULT_TEST
) -> "ConfusionResults | PrototypeResults":
    """Opens a finished or running study.

    Nothing is written. What the study has when a table is first asked for is what the
    object goes on to show; open it again to see what came since.

    Args:
        directory: The study's folder, a string or path.
        test: Which test decides the findings of a confusion study, one of
            `findings.TESTS`.

    Returns:
        A `ConfusionResults` or a `PrototypeResults`.

    Raises:
        ValueError: If there is no such test.
        StudyFolderError: If the folder holds no study, or a file cannot be read.

    Example:
        study = keras_confusion.open_study("studies/digits")
        study.findings()
        study.plot_findings()
    """
    comparison_findings.check_test(test)
    folder = StudyFolder.open(directory)
    if folder.kind == confusion_store.KIND:
        return ConfusionResults(folder, test)
    if folder.kind == prototype_store.KIND:
        return PrototypeResults(folder)
    raise StudyFolderError(
        f"Expected a study of {confusion_store.KIND} or {prototype_store.KIND} in "
        f"{folder.path}. Received: {echo(folder.kind)}. Use another folder."
    )


class ConfusionResults:
    """What a confusion study found; `open_study` makes it.

    The columns of all tables are documented in docs/confusion_study.md.

    Attributes:
        path: The study's folder.
        test: The test by which findings are chosen and marked.
        class_names: Names in the order of the labels.
    """

    def __init__(self, folder: StudyFolder, test: str):
        self._folder = folder
        self.path: pathlib.Path = folder.path
        self.test = test
        self.class_names = folder.class_names

    @functools.cached_property
    def _study(self) -> study_results.Study:
        return study_results.read_study(self._folder)

    @functools.cached_property
    def _per_network(self) -> pd.DataFrame:
        if self._study.networks["failed"].all():
            raise StudyFolderError(
                f"Expected trained networks in {self.path}. Received: "
                f"{len(self._study.networks)}, all of them failed. Run the study first."
            )
        return comparison_tables.networks_table(self._study)

    @functools.cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables of the report by name, as in its folder `tables`.

        That of the networks is `networks`.
        """
        return confusion_tables.study_tables(self._study, self._per_network, self.test)

    @functools.cached_property
    def networks(self) -> pd.DataFrame:
        """One row a network: what it was trained with, and its accuracies by class."""
        parts = comparison_tables.networks_with_classes(self._study, self._per_network)
        return pd.concat(parts, ignore_index=True)

    @property
    def classes(self) -> pd.DataFrame:
        """One row a class: accuracies of the baseline, number of test images."""
        return self.tables["classes"]

    @property
    def target_by_pair(self) -> pd.DataFrame:
        """Accuracies of every target under every pair, confused against baseline."""
        return self.tables["target_by_pair"]

    @property
    def target_by_class(self) -> pd.DataFrame:
        """Accuracies of every target where a class is confused, and where it is not.

        Raises:
            ValueError: If not all pairs were run.
        """
        return self._of_all_pairs("target_by_class")

    def findings(self) -> pd.DataFrame:
        """All cells with q <= 0.05: difference, intervals, t, p and q; see the docs.

        Empty where nothing was found: `report` says what that means.
        """
        return self.tables["findings"]

    def report(self) -> str:
        """What was found, in sentences; nothing is written."""
        return confusion_report.findings_text(
            self.tables, self._folder.description, test=self.test
        )

    @_shown_in_notebooks
    def plot_findings(self, *, most: int = findings_figure.MOST_ROWS) -> Figure:
        """The strongest cells with intervals: features beside competition.

        Args:
            most: Cells that are shown at most.
        """
        return findings_figure.draw(self.tables, test=self.test, most=most)

    @_shown_in_notebooks
    def plot_target_by_class(self, measure: str = "difference") -> Figure:
        """Heat maps of every target by every class that is confused.

        Args:
            measure: "difference", "t" or "bits".

        Raises:
            ValueError: If there is no such measure, or not all pairs were run.
        """
        self._check_measure(measure, comparison_figures.MEASURES)
        return comparison_figures.target_by_class(
            self.target_by_class,
            measure,
            self.class_names,
            self._order(),
            test=self.test,
        )

    @_shown_in_notebooks
    def plot_target_by_pair(self, measure: str = "difference") -> Figure:
        """Heat maps of every target by every pair that is confused.

        Args:
            measure: "difference", "t" or "bits".
        """
        self._check_measure(measure, comparison_figures.MEASURES)
        return comparison_figures.target_by_pair(
            self.target_by_pair,
            measure,
            self.class_names,
            self._order(),
            test=self.test,
        )

    @_shown_in_notebooks
    def plot_readings_by_class(self, measure: str = "difference") -> Figure:
        """The same of d': *total*, *features* and *readout* beside each other.

        Args:
            measure: "difference" or "t".

        Raises:
            ValueError: If there is no such measure, not all pairs were run, or the
                networks have no d'.
        """
        self._check_measure(measure, comparison_figures.READING_MEASURES)
        return comparison_figures.target_by_class(
            self._of_all_pairs("discriminability_by_class"),
            measure,
            self.class_names,
            self._order(),
            test=self.test,
        )

    def _of_all_pairs(self, name: str) -> pd.DataFrame:
        if name not in self.tables:
            raise ValueError(
                f"Expected a study of all pairs, with d' for readings, for {name}. "
                f"Received: one of {len(self._study.responses.pairs)} pairs that has "
                f"the tables {', '.join(self.tables)}."
            )
        return self.tables[name]

    @staticmethod
    def _check_measure(measure: str, known) -> None:
        if measure not in known:
            raise ValueError(
                f"Expected `measure` to be one of {tuple(known)}. Received: "
                f"{measure!r}."
            )

    def _order(self):
        tree = None
        if "target_by_class" in self.tables:
            tree = clustering.tree_of_table(
                self.tables["target_by_class"], len(self.class_names)
            )
        return clustering.class_order(tree, len(self.class_names))

    def __repr__(self) -> str:
        return f"<ConfusionResults of {self.path}>"

    def _repr_html_(self) -> str:
        return _as_html(self.report(), self.plot_findings())


class PrototypeResults:
    """What a prototype study found; `open_study` makes it.

    The columns of all tables are documented in docs/prototype_study.md.

    Attributes:
        path: The study's folder.
        class_names: Names in the order of the labels.
    """

    def __init__(self, folder: StudyFolder):
        self._folder = folder
        self.path: pathlib.Path = folder.path
        self.class_names = folder.class_names

    @functools.cached_property
    def prototypes(self) -> xr.Dataset:
        """All prototypes with their features, C and R; see `read_prototype_study`."""
        return prototype_store.read_prototype_study(self._folder)

    @functools.cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables of the report by name, as in its folder `tables`."""
        return prototype_report.study_tables(self.prototypes, self.path)

    @property
    def trends(self) -> pd.DataFrame:
        """One row a training interval: C, R, M_g and accuracy."""
        return self.tables["trends"]

    @property
    def outliers(self) -> pd.DataFrame:
        """One row a training interval: shares of outliers in C and R."""
        return self.tables["outliers"]

    def report(self) -> str:
        """What was found, in sentences; nothing is written."""
        return prototype_report.findings_text(
            self.tables["by_initialisation"], self._folder.description
        )

    @_shown_in_notebooks
    def plot_trends(self) -> Figure:
        """C, R and accuracy over the training."""
        name = self._folder.settings["dataset"]
        return prototype_figures.trends_figure({name: self.trends})

    @_shown_in_notebooks
    def plot_outliers(self) -> Figure:
        """Shares of outliers over the training."""
        return prototype_figures.outliers_figure(self.outliers)

    @_shown_in_notebooks
    def plot_class_prototypes(self, initialisation: int = 0) -> Figure:
        """The prototype of every class over the training.

        Args:
            initialisation: Number of the initialisation.
        """
        return prototype_grids.class_prototypes_over_intervals(
            self.prototypes, initialisation
        )

    def __repr__(self) -> str:
        return f"<PrototypeResults of {self.path}>"

    def _repr_html_(self) -> str:
        return _as_html(self.report(), self.plot_class_prototypes())


def _as_html(text: str, figure: Figure) -> str:
    """The first lines of a report above its picture, for a notebook's cell."""
    data = base64.b64encode(_png(figure)).decode()
    lines = text.strip().splitlines()[:_HTML_LINES]
    return (
        # JupyterLab would break lines within numbers.
        f'<pre style="word-break: normal">{html.escape(chr(10).join(lines))}</pre>'
        f'<img alt="The study\'s findings" src="data:image/png;base64,{data}">'
    )


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    with matplotlib.rc_context(figure_style.STYLE):
        figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()
