import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing import event_file_loader

from keras_confusion.cli import commands
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.reports import prototype_report, study_report
from keras_confusion.storage import study_folder
from tb_plugin import metadata

FIGURES = {
    "trends",
    "quality",
    "outliers",
    "class_prototypes",
    "prototypes_25",
    "prototypes_40",
    "prototypes_60",
    "changes_60",
    "slices_c_60",
    "slices_r_60",
    "boundaries",
    "boundary_prototypes_60",
}


def events(directory, run):
    """Scalars by tag and step, and PNG files of images; without the plugin's data."""
    (path,) = (directory / run).iterdir()
    found = {}
    for event in event_file_loader.EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.tag.startswith("plugin/"):
                continue
            tensor = value.tensor
            content = tensor.string_val[2] if tensor.string_val else None
            if content is None:
                content = np.frombuffer(tensor.tensor_content, np.float32)
                content = content[0] if content.size else tensor.float_val[0]
            found[value.tag, event.step] = content
    return found


def findings(directory):
    """The text of a report, without its pictures."""
    study = prototype_store.read_prototype_study(directory)
    return prototype_report.findings_text(
        prototype_tables.by_initialisation(study),
        study_folder.StudyFolder.open(directory).description,
    )


def test_report_has_every_table_and_figure(write_prototype_study):
    directory = write_prototype_study()
    made = study_report.write_report(directory)
    assert {path.stem for path in made.figure_files} == FIGURES
    for path in made.figure_files:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert "<text" in path.with_suffix(".svg").read_text()
    study = prototype_store.read_prototype_study(directory)
    by_initialisation = prototype_tables.by_initialisation(study)
    written = pd.read_csv(directory / "tables" / "by_initialisation.csv")
    pd.testing.assert_frame_equal(written, by_initialisation, rtol=1e-6)
    assert {path.stem for path in made.table_files} == {
        "by_initialisation",
        "trends",
        "outliers",
        "first_to_last",
        "prototypes",
        "boundary_prototypes",
        "boundaries",
        "boundary_trends",
    }
    images = events(directory, metadata.REPORT_RUN)
    assert {step for tag, step in images if tag == "figures/prototypes"} == {25, 40, 60}
    grid = (directory / "figures" / "prototypes_40.png").read_bytes()
    assert images["figures/prototypes", 40] == grid


def test_text_says_what_the_tables_say(write_prototype_study, monkeypatch, undrawn):
    monkeypatch.setattr(prototype_report, "_write_figures", lambda *_: None)
    directory = write_prototype_study()
    text = study_report.write_report(directory).text
    table = pd.read_csv(directory / "tables" / "trends.csv")
    assert "digits, resnet18 of width 16, one network: 3 training intervals" in text
    assert "2 initialisations, 96 prototypes. All of them converged." in text
    for _, row in table.iterrows():
        line = next(
            line for line in text.splitlines() if f"{row['interval']:g} %" in line
        )
        assert f"{row['mean_c']:.3f}" in line
        assert f"{row['m_g']:.3f}" in line
    changes = pd.read_csv(directory / "tables" / "first_to_last.csv")
    row = changes.set_index("measure").loc["mean_c"]
    assert f"{row['first']:.3f} and {row['last']:.3f} at 25 % and 60 %" in text
    assert "rises in 2 of 2" in text
    assert "R is below C in 6 of 6" in text


def test_what_did_not_converge_is_told(write_prototype_study, undrawn):
    directory = write_prototype_study()
    converged = prototype_store.open_array(directory, "converged")
    converged[2, 1, 0, 1] = False
    text = findings(directory)
    assert "1 of them did not converge and are left out." in text


def test_nothing_that_converged_is_said_and_not_calculated(
    write_prototype_study, undrawn
):
    directory = write_prototype_study()
    prototype_store.open_array(directory, "converged")[:2] = False
    text = findings(directory)
    assert "not defined at both 25 % and 60 %" in text
    assert "R is below C in 2 of 2" in text
    assert "nan" not in text


def test_features_that_are_zero_are_told(write_prototype_study, undrawn):
    directory = write_prototype_study()
    prototype_store.open_array(directory, "features")[2, 1, 0, 1] = 0
    text = findings(directory)
    assert "1 prototypes have features that are all zero" in text


def test_running_study_is_reported_as_far_as_it_is(write_prototype_study, undrawn):
    directory = write_prototype_study(finished={(0, 0), (0, 1), (1, 1)})
    made = study_report.write_report(directory)
    names = {path.stem for path in made.figure_files}
    # Initialisation 0, which is shown, has one interval; the last finished one is 40.
    assert {"prototypes_25", "slices_c_40"} <= names
    assert not {"prototypes_40", "slices_c_60"} & names
    assert "2 training intervals" in made.text


def test_study_without_boundaries_or_prototypes(write_prototype_study, undrawn):
    boundaries = tuple(
        name for name in prototype_store.ARRAYS if name.startswith("boundary")
    )
    directory = write_prototype_study(left_out=boundaries)
    names = {path.stem for path in study_report.write_report(directory).figure_files}
    assert names == {name for name in FIGURES if not name.startswith("bound")}


def test_study_without_any_prototypes_is_refused(write_prototype_study):
    directory = write_prototype_study(finished=set())
    with pytest.raises(study_folder.StudyFolderError, match="none that are finished"):
        study_report.write_report(directory)


def test_analyse_study_rebuilds_scalars_and_report(
    write_prototype_study, capsys, undrawn
):
    directory = write_prototype_study()
    assert commands.analyse_study(directory) == 0
    assert "TensorBoard:" in capsys.readouterr().out
    table = pd.read_csv(directory / "tables" / "trends.csv").set_index("interval")
    scalars = events(directory, metadata.PROTOTYPES_RUN)
    for name in metadata.PROTOTYPE_MEASURES:
        for percentage in (25, 40, 60):
            np.testing.assert_allclose(
                scalars[f"prototypes/{name}", percentage],
                table.loc[percentage, name],
                rtol=1e-5,
            )
    training = events(directory, metadata.TRAINING_RUN)
    accuracy = table.loc[40, "test_accuracy"]
    np.testing.assert_allclose(training["accuracy/test", 40], accuracy, rtol=1e-6)
    assert ("test_accuracy_of_class/<b>dog & cat</b>", 60) in training
    losses = [training["training/loss", step] for step in range(1, 7)]
    assert losses == [2, 1] * 3
    # Again, and nothing is there twice.
    before = {path: path.read_bytes() for path in (directory / "tables").iterdir()}
    commands.analyse_study(directory)
    assert len(list((directory / metadata.PROTOTYPES_RUN).iterdir())) == 1
    assert all(path.read_bytes() == content for path, content in before.items())


def test_columns_of_the_text_are_columns_of_the_table(synthetic_study):
    table = prototype_tables.trends(
        prototype_tables.by_initialisation(synthetic_study())
    )
    assert set(prototype_report._TEXT_COLUMNS) <= set(table)
    assert set(metadata.PROTOTYPE_MEASURES) <= set(table)
