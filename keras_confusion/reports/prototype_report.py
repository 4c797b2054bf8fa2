"""A finished or running prototype study -> tables, figures, TensorBoard, a text."""

import pathlib

import numpy as np
import pandas as pd
import xarray as xr

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.prototypes.dissimilarity import Kind
from keras_confusion.reports.figures import prototype_figures, prototype_grids
from keras_confusion.reports.report_files import Report, ReportFiles
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

# The initialisation whose images are shown.
SHOWN = 0
_TEXT_COLUMNS = {
    "interval": ("trained", "{:g} %"),
    "test_accuracy": ("accuracy", "{:.3f}"),
    "mean_c": ("mean C", "{:.3f}"),
    "sd_c": ("sd C", "{:.3f}"),
    "mean_r": ("mean R", "{:.3f}"),
    "sd_r": ("sd R", "{:.3f}"),
    "m_g": ("M_g", "{:.3f}"),
    "m_adv": ("M_adv", "{:.3f}"),
    "outliers_c_pooled": ("outliers C", "{:.1%}"),
    "outliers_c_of_means": ("(of means)", "{:.1%}"),
    "outliers_r_pooled": ("outliers R", "{:.1%}"),
    "outliers_r_of_means": ("(of means)", "{:.1%}"),
}
_MATRICES = {"c": "C (one origin, different targets)", "r": "R (one target)"}


def write_prototype_report(folder: StudyFolder) -> Report:
    """Writes everything that can be said of the prototypes in a study's folder.

    Args:
        folder: The study's folder.

    Returns:
        A `Report`.

    Raises:
        StudyFolderError: If the folder holds no prototype study, or none of its parts
            is finished.
    """
    study = prototype_store.read_prototype_study(folder)
    all_tables = study_tables(study, folder.path)
    with ReportFiles(folder.path) as files:
        for name, table in all_tables.items():
            files.table(name, table)
        _write_figures(files, study, all_tables, folder.description)
    return Report(
        text=findings_text(all_tables["by_initialisation"], folder.description),
        table_files=files.table_files,
        figure_files=files.figure_files,
    )


def study_tables(study: xr.Dataset, path: pathlib.Path) -> dict[str, pd.DataFrame]:
    """All tables of a report, by name.

    Args:
        study: As `read_prototype_study` returns it.
        path: Of its folder, for errors.

    Raises:
        StudyFolderError: If none of its parts is finished.
    """
    if not study["finished"].values.any():
        raise StudyFolderError(
            f"Expected prototypes in {path}. Received: none that are finished. "
            "Run the study first."
        )
    by_initialisation = prototype_tables.by_initialisation(study)
    all_tables = {
        "by_initialisation": by_initialisation,
        "trends": prototype_tables.trends(by_initialisation),
        "outliers": prototype_tables.outliers(by_initialisation),
        "first_to_last": prototype_tables.first_to_last(by_initialisation),
        "prototypes": prototype_tables.prototypes(study),
    }
    if "boundary_image" in study:
        boundary = prototype_tables.boundary_prototypes(study)
        all_tables |= {
            "boundary_prototypes": boundary,
            "boundaries": prototype_tables.boundaries(boundary),
            "boundary_trends": prototype_tables.boundary_trends(boundary),
        }
    return all_tables


def findings_text(by_initialisation: pd.DataFrame, description: dict) -> str:
    """What a prototype study found, as a table and sentences."""
    trends = prototype_tables.trends(by_initialisation)
    # Titles are of several words: columns stand two spaces apart.
    columns = {
        name: trends[name].map(f" {form}".format, na_action="ignore").astype(object)
        for name, (_, form) in _TEXT_COLUMNS.items()
    }
    titles = [f" {title}" for title, _ in _TEXT_COLUMNS.values()]
    table = pd.DataFrame(columns).to_string(header=titles, index=False, na_rep="-")
    lines = [_study_line(by_initialisation, description), "", table]
    lines += ["", _poster_sentences(by_initialisation), ""]
    return "\n".join(lines)


def _study_line(by_initialisation: pd.DataFrame, description: dict) -> str:
    settings = description["settings"]
    width = "" if settings["width"] is None else f" of width {settings['width']}"
    num_images = by_initialisation["num_prototypes"].sum()
    failed = by_initialisation["num_not_converged"].sum()
    line = (
        f"{settings['dataset']}, {settings['model']}{width}, one network: "
        f"{by_initialisation['interval'].nunique()} training intervals x "
        f"{by_initialisation['initialisation'].nunique()} initialisations, "
        f"{num_images} prototypes. "
    )
    if failed:
        return line + f"{failed} of them did not converge and are left out."
    return line + "All of them converged."


def _poster_sentences(by_initialisation: pd.DataFrame) -> str:
    """Whether C rises with training, R stays lower, and its sd below that of C."""
    changes = prototype_tables.first_to_last(by_initialisation).set_index("measure")
    lines = []
    for matrix, title in _MATRICES.items():
        row = changes.loc[f"mean_{matrix}"]
        ends = f"{row['first_interval']:g} % and {row['last_interval']:g} %"
        if not row["n_initialisations"]:
            lines.append(
                f"Mean dissimilarity in {title}: not defined at both {ends} of the "
                "training, as too few prototypes converged."
            )
            continue
        spread = ""
        if row["n_initialisations"] > 1:
            spread = f", sd {row['change_sd']:.3f} over initialisations"
        lines.append(
            f"Mean dissimilarity in {title}: {row['first']:.3f} and {row['last']:.3f} "
            f"at {ends} of the training ({row['change']:+.3f}{spread}; rises in "
            f"{row['num_rising']:.0f} of {row['n_initialisations']:.0f})."
        )
    defined = by_initialisation.dropna(subset=["mean_c", "mean_r"])
    if len(defined):
        lower = (defined["mean_r"] < defined["mean_c"]).sum()
        narrower = (defined["sd_r"] < defined["sd_c"]).sum()
        lines.append(
            f"R is below C in {lower} of {len(defined)} intervals and "
            f"initialisations, sd(R) below sd(C) in {narrower}."
        )
    undefined = by_initialisation["num_undefined"].sum()
    if undefined:
        lines.append(
            f"{undefined} prototypes have features that are all zero: they have no "
            "direction, and are left out."
        )
    lines.append("Initialisations repeat the images, not the training of the network.")
    return "\n".join(lines)


def _write_figures(
    files: ReportFiles, study: xr.Dataset, all_tables: dict, description: dict
) -> None:
    percentages = study["interval"].values
    finished = study["finished"].values
    shown = np.flatnonzero(finished[:, SHOWN])
    last = int(np.flatnonzero(finished.any(axis=1))[-1])
    last_step = round(float(percentages[last]))
    name = description["settings"]["dataset"]

    def write(tag: str, figure, interval: int | None = None) -> None:
        if interval is None:
            files.figure(tag, figure, step=last_step)
            return
        percentage = float(percentages[interval])
        files.figure(f"{tag}_{percentage:g}", figure, step=round(percentage), tag=tag)

    trends = all_tables["trends"]
    write("trends", prototype_figures.trends_figure({name: trends}))
    write("quality", prototype_figures.quality_figure(trends))
    write("outliers", prototype_figures.outliers_figure(all_tables["outliers"]))
    if len(shown):
        write(
            "class_prototypes",
            prototype_grids.class_prototypes_over_intervals(study, SHOWN),
        )
    for interval in shown.tolist():
        write(
            "prototypes",
            prototype_grids.prototype_grid(study, interval, SHOWN),
            interval,
        )
    if len(shown):
        interval = int(shown[-1])
        write("changes", prototype_grids.change_grid(study, interval, SHOWN), interval)
    kinds: dict[str, Kind] = {"c": "inter", "r": "intra"}
    for letter, kind in kinds.items():
        write(f"slices_{letter}", prototype_figures.slices(study, last, kind), last)
    if "boundaries" in all_tables:
        table = all_tables["boundaries"]
        write("boundaries", prototype_figures.boundaries_figure(table))
        if len(shown):
            interval = int(shown[-1])
            write(
                "boundary_prototypes",
                prototype_grids.boundary_grid(study, interval, SHOWN),
                interval,
            )
