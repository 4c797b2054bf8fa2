"""A finished or running confusion study -> tables, figures, TensorBoard, a text."""

import pathlib

import numpy as np
import pandas as pd

from keras_confusion.comparisons import (
    clustering,
    null_results,
    planted_findings,
    responses,
    study_results,
)
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.confusion import network_files
from keras_confusion.reports import confusion_tables, readings_report
from keras_confusion.reports.figures import (
    comparison_figures,
    findings_figure,
    network_figures,
)
from keras_confusion.reports.readings_report import quoted
from keras_confusion.reports.report_files import Report, ReportFiles
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

NUM_FINDINGS = 8
_MOST_ARMS_NAMED = 8
_TITLES = {
    "accuracy_without_pair": (
        "Features and last layer together: accuracy_without_pair, the pair left out"
    ),
    "accuracy": "With competition: accuracy, as the poster measured it",
}


def write_confusion_report(
    folder: StudyFolder, *, test: str = comparison_findings.DEFAULT_TEST
) -> Report:
    """Writes everything that can be said of the networks in a study's folder.

    `tables/*.csv`, `figures/*.png` and `.svg`, and the figures for TensorBoard. Nothing
    is trained; an earlier report is replaced.

    Args:
        folder: The study's folder.
        test: One of `findings.TESTS`, by which findings are chosen, ordered and
            marked; the tables hold all.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there is no such test.
        StudyFolderError: If the folder holds no confusion study or no network, or a
            file cannot be read.
    """
    comparison_findings.check_test(test)
    study = study_results.read_study(folder)
    description, class_names = study.description, study.class_names
    if study.networks["failed"].all():
        raise StudyFolderError(
            f"Expected trained networks in {folder.path}. Received: "
            f"{len(study.networks)}, all of them failed. Run the study first."
        )
    per_network = comparison_tables.networks_table(study)
    with ReportFiles(folder.path) as files:
        # Before other tables take memory.
        files.table(
            "networks",
            comparison_tables.networks_with_classes(study, per_network),
            num_cells=len(per_network)
            * (per_network.shape[1] + len(responses.RESPONSES) * len(class_names)),
        )
        all_tables = confusion_tables.study_tables(study, per_network, test)
        # Tables and pictures need no single networks any more.
        del study
        for name, table in all_tables.items():
            files.table(name, table)
        _write_figures(files, all_tables, per_network, description, test)
    text = findings_text(all_tables, description, test=test)
    return Report(
        text=text + _compressed_line(files.table_files),
        table_files=files.table_files,
        figure_files=files.figure_files,
    )


def _compressed_line(paths: list[pathlib.Path]) -> str:
    """Says which tables are compressed, and how large they are; "" if none is."""
    large = [path for path in paths if path.suffix == ".gz"]
    if not large:
        return ""
    sizes = ", ".join(
        f"{path.name} ({path.stat().st_size / 1e6:.0f} MB)" for path in large
    )
    return (
        f"Large tables are compressed: {sizes}. pandas, R and DuckDB read them as they "
        "are.\n"
    )


def findings_text(
    all_tables: dict[str, pd.DataFrame],
    description: dict,
    *,
    test: str = comparison_findings.DEFAULT_TEST,
) -> str:
    """The baseline and the strongest findings of a study, in sentences."""
    arms = all_tables["arms"].set_index("arm")
    third = comparison_findings.third_classes(all_tables["target_by_pair"], test)
    has_all_pairs = confusion_tables.has_all_pairs(description)
    told = {"pairs": third}
    if has_all_pairs:
        told["classes"] = comparison_findings.with_test(
            all_tables["target_by_class"], test
        )
    lines = [
        _study_line(arms, description),
        comparison_findings.describe_test(told, test),
    ]
    lines += readings_report.reading_lines(all_tables, arms["n"].sum(), test)
    for response, title in _TITLES.items():
        lines += ["", title]
        lines += _findings("pairs, third classes", third[third["response"] == response])
        if has_all_pairs:
            by_class = told["classes"]
            rows = by_class[by_class["response"] == response]
            lines += _findings("classes", rows)
    lines += _correlations(all_tables["class_correlations"])
    notes = []
    if "planted_truth" in all_tables:
        notes.append(planted_findings.truth_text(all_tables["planted_truth"]))
    if description["settings"].get("corruption") == "null":
        notes.append(
            "A null study: arms are treated as the baseline is, and what is found is "
            "chance."
        )
    if caution := comparison_findings.caution(third, test):
        notes.append(f"Target x pairs: {caution}")
    if not has_all_pairs:
        notes.append(
            "Target x classes compares all arms with a class and all without: left "
            "out, as not all pairs were run."
        )
    untested = third[third["p_value"].isna()]
    for reason, count in untested["reason"].value_counts().items():
        notes.append(f"No test in {count} cells of target x pair: {reason}.")
    return "\n".join([*lines, "", *notes, ""] if notes else [*lines, ""])


def _findings(columns: str, rows: pd.DataFrame) -> list[str]:
    """How many tests found something, and the strongest of them."""
    tested = rows[rows["q_value"].notna()]
    ordered = tested.iloc[np.lexsort((-tested["t"].abs(), tested["q_value"]))]
    found = ordered[ordered["q_value"] <= comparison_findings.SIGNIFICANCE]
    lines = [
        f"  Target x {columns}: {len(found)} of {len(tested)} tests at "
        f"q <= {comparison_findings.SIGNIFICANCE}"
    ]
    if result := null_results.null_result(rows):
        lines.append(f"    {null_results.sentence(result)}")
    if len(found):
        told = found[:NUM_FINDINGS]
        return lines + [f"    {finding_sentence(row)}" for _, row in told.iterrows()]
    return lines + [
        f"    (not significant) {finding_sentence(row)}"
        for _, row in ordered[:1].iterrows()
    ]


def _correlations(table: pd.DataFrame) -> list[str]:
    """How many classes' accuracies correlate over the baseline, and which most."""
    tested = table[table["q_value"].notna()]
    if tested.empty:
        return []
    found = tested[tested["q_value"] <= comparison_findings.SIGNIFICANCE]
    row = tested.loc[tested["correlation"].abs().idxmax()]
    return [
        "",
        f"Accuracies over the {row['n']} baseline networks, in which nothing is "
        f"confused: {len(found)} of {len(tested)} pairs of classes correlate at q <= "
        f"{comparison_findings.SIGNIFICANCE}; most {quoted(row['class_a_name'])} and "
        f"{quoted(row['class_b_name'])}, {row['correlation']:+.2f} (95 % CI "
        f"{row['ci_low']:+.2f} to {row['ci_high']:+.2f})",
    ]


def finding_sentence(row) -> str:
    """For example "not learning cat and dog costs bird 4.1 points (95 % CI ...)"."""
    confused = (
        f"{quoted(row['class_a_name'])} and {quoted(row['class_b_name'])}"
        if "class_a_name" in row
        else quoted(row["class_name"])
    )
    # A cost is printed as a positive number; t keeps the sign of the difference.
    verb, sign = ("costs", -1) if row["difference_points"] < 0 else ("gives", 1)
    low, high = sorted((sign * row["ci_low_points"], sign * row["ci_high_points"]))
    return (
        f"not learning {confused} {verb} {quoted(row['target_name'])} "
        f"{sign * row['difference_points']:.1f} points "
        f"(95 % CI {low:.1f} to {high:.1f}), "
        f"t = {row['t']:.1f}, q = {_small(row['q_value'])}, "
        f"{row['kl_bits']:.4f} bits"
    )


def _study_line(arms: pd.DataFrame, description: dict) -> str:
    settings = description["settings"]
    total = arms["n"].sum()
    line = (
        f"{settings['dataset']}: {total} networks, {settings['epochs']} epochs, recipe "
        f"{settings['recipe']}, {arms['mean_seconds'].mean():.1f} s a network. "
    )
    if network_files.BASELINE in arms.index:
        baseline = arms.loc[network_files.BASELINE]
        line += (
            f"Baseline accuracy {baseline['mean_accuracy']:.3f} "
            f"(sd {baseline['sd_accuracy']:.3f}, n = {baseline['n']})."
        )
    if changed := description.get("labels_changed"):
        least, most = changed
        number = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        line += (
            f" In a confused network {number} of {description['num_train']:,} training "
            "labels are wrong."
        )
    codes = sorted({code for codes in arms["codes"] for code in codes.split("; ")})
    if len(codes) > 1:
        line += (
            " Not all networks were trained by the same version of keras-confusion: "
            f"{', '.join(code or 'unknown' for code in codes)} (tables/networks.csv)."
        )
    failed = arms[arms["num_failed"] > 0]
    if len(failed):
        each = "; ".join(
            f"{row['num_failed']} of {row['num_failed'] + row['n']} in arm "
            f"{_arm_name(name, row)}"
            for name, row in failed.head(_MOST_ARMS_NAMED).iterrows()
        )
        more = len(failed) - _MOST_ARMS_NAMED
        line += (
            f" {failed['num_failed'].sum()} networks failed and are left out, which "
            f"can bias the arms that lack them: {each}"
            + (f"; and in {more} more arms." if more > 0 else ".")
        )
    return line


def _arm_name(arm: str, row: pd.Series) -> str:
    """The baseline, or the names of the classes that are confused."""
    if arm == network_files.BASELINE:
        return arm
    return f"{quoted(row['class_a_name'])}-{quoted(row['class_b_name'])}"


def _small(value: float) -> str:
    return f"{value:.1e}" if value < 1e-4 else f"{value:.4f}"


def _write_figures(files, all_tables, per_network, description, test) -> None:
    num_networks = len(per_network)
    class_names = description["class_names"]
    by_pair = all_tables["target_by_pair"]
    num_classes, tree = len(class_names), None
    if confusion_tables.has_all_pairs(description):
        by_class = all_tables["target_by_class"]
        tree = clustering.tree_of_table(by_class, num_classes)
    order = clustering.class_order(tree, num_classes)

    def write(name, figure) -> None:
        files.figure(name, figure, step=num_networks)

    write("findings", findings_figure.draw(all_tables, test=test))
    for name, figure in readings_report.reading_figures(
        all_tables, class_names, order, test=test
    ):
        write(name, figure)
    if confusion_tables.has_all_pairs(description):
        for measure in comparison_figures.MEASURES:
            write(
                f"target_by_class_{measure}",
                comparison_figures.target_by_class(
                    by_class, measure, class_names, order, test=test
                ),
            )
    for measure in comparison_figures.MEASURES:
        write(
            f"target_by_pair_{measure}",
            comparison_figures.target_by_pair(
                by_pair, measure, class_names, order, test=test
            ),
        )
    write("accuracy_by_arm", network_figures.accuracy_by_arm(per_network))
    if tree is not None:
        without_pair = by_class[by_class["response"] == "accuracy_without_pair"]
        margins = without_pair["ci_high_points"] - without_pair["ci_low_points"]
        margin = margins.median() / 2
        write(
            "class_dendrogram",
            network_figures.class_dendrogram(tree, class_names, margin=margin),
        )
