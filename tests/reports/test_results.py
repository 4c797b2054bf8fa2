import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import PNGFormatter
from matplotlib.figure import Figure

import keras_confusion
from benchmarks.speed import large_study
from keras_confusion.reports import study_report
from keras_confusion.reports.figures import findings_figure
from keras_confusion.reports.results import ConfusionResults, PrototypeResults
from keras_confusion.storage.study_folder import StudyFolderError


@pytest.fixture
def confusion(tmp_path):
    large_study.write_large_study(
        tmp_path, num_classes=6, repeats=3, baseline_repeats=4, num_test=240
    )
    return tmp_path


def lines_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_tables_are_those_of_the_report(confusion, undrawn):
    study = keras_confusion.open_study(confusion)
    assert isinstance(study, ConfusionResults)
    report = study_report.write_report(confusion)
    for path in report.table_files:
        written = pd.read_csv(path, keep_default_na=False, na_values=[""])
        table = study.networks if path.stem == "networks" else study.tables[path.stem]
        assert list(table) == list(written)
        assert len(table) == len(written)
    assert len(study.target_by_class) == 2 * 6 * 5
    assert len(study.target_by_pair) == 2 * 6 * 15
    assert len(study.networks) == 15 * 3 + 4
    assert report.text.startswith(study.report())
    found = study.findings()
    assert (found["q_value"] <= 0.05).all()


def test_pictures_are_figures(confusion):
    study = keras_confusion.open_study(str(confusion), test="paired")
    for figure in (study.plot_target_by_class(), study.plot_target_by_pair("t")):
        assert isinstance(figure, Figure)
    # As IPython asks a value at a cell's end, with nothing of pyplot imported.
    png = PNGFormatter()(study.plot_findings())
    assert png.startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="difference"):
        study.plot_target_by_class("effect")
    with pytest.raises(ValueError, match="discriminability_by_class"):
        study.plot_readings_by_class()
    shown = study._repr_html_()
    assert "paired t" in shown
    assert 'src="data:image/png;base64,' in shown
    assert "ConfusionResults" in repr(study)


def cells(effects, q_values, column="response", name="accuracy_without_pair"):
    """Rows of target x class, `(target, class)` by number, in percentage points."""
    points = "_points" if column == "response" else ""
    table = pd.DataFrame(
        {
            column: name,
            "target": range(len(effects)),
            "target_name": [f"t{row}" for row in range(len(effects))],
            "class": 9,
            "class_name": "rival",
            f"difference{points}": effects,
            "q_value": q_values,
            "n_confused": 8,
        }
    )
    for end, sign in (("low", -1), ("high", 1)):
        table[f"ci_{end}{points}"] = table[f"difference{points}"] + sign
    return table.assign(t=table[f"difference{points}"])


def test_strongest_cells_stand_first_and_features_choose_them():
    by_points = cells([-9.0, 2.0, 0.5, 7.0], [0.001, 0.2, 0.9, 0.01])
    tables = {"target_by_class": by_points}
    figure = findings_figure.draw(tables, test="welch", most=3)
    # The largest loss first, the smallest p-values chosen.
    assert lines_of(figure) == [
        "t0, where rival is confused",
        "t1, where rival is confused",
        "t3, where rival is confused",
    ]
    assert figure.get_suptitle().startswith("2 of 4 cells found by accuracy")
    of_features = cells(
        [0.3, 0.1, -0.2, 0.0], [0.3, 0.5, 0.2, 0.9], "reading", "features"
    )
    figure = findings_figure.draw(
        tables | {"discriminability_by_class": of_features}, test="welch", most=2
    )
    assert [name.split(",")[0] for name in lines_of(figure)] == ["t2", "t0"]
    assert figure.get_suptitle() == (
        "0 of 4 cells found by features: the strongest of them"
    )
    # Accuracies of the same cells, at the same height.
    left, right = figure.axes
    assert len(right.collections[0].get_segments()) == 2
    drawn = {line.get_mfc(): sorted(line.get_xdata()) for line in left.lines[:2]}
    assert drawn == {findings_figure._LEARNED["features"][1]: [], "white": [-0.2, 0.3]}


def test_a_quarter_of_the_cells_is_of_competition():
    """Cells that the accuracy finds and features do not, in the order of their q."""
    effects, q_values = np.linspace(-1, 0, 12), np.full(12, 0.04)
    q_values[6:] = 0.9
    of_features = cells(effects, q_values, "reading", "features")
    by_points = cells(effects, np.linspace(0.1, 0, 12), "response", "accuracy")
    by_points.loc[2, "q_value"] = 0
    figure = findings_figure.draw(
        {
            "target_by_class": pd.concat([by_points, cells(effects, q_values)]),
            "discriminability_by_class": of_features,
        },
        test="welch",
        most=8,
    )
    shown = [name.split(",")[0] for name in lines_of(figure)]
    assert shown == ["t0", "t1", "t2", "t3", "t4", "t5", "t10", "t11"]
    assert figure.get_suptitle() == "6 of 12 cells found by features"


def test_prototypes(write_prototype_study):
    study = keras_confusion.open_study(write_prototype_study())
    assert isinstance(study, PrototypeResults)
    report = study_report.write_report(study.path)
    names = {path.stem for path in report.table_files}
    assert names == set(study.tables)
    assert len(study.trends) == study.prototypes.sizes["interval"]
    assert len(study.outliers)
    assert study.report() == report.text
    for figure in (study.plot_trends(), study.plot_outliers()):
        assert isinstance(figure, Figure)
    assert "data:image/png" in study._repr_html_()
    assert "PrototypeResults" in repr(study)


def test_what_is_no_study_is_refused(tmp_path, confusion):
    with pytest.raises(StudyFolderError):
        keras_confusion.open_study(tmp_path / "nothing")
    with pytest.raises(ValueError, match="moderated"):
        keras_confusion.open_study(confusion, test="z")
