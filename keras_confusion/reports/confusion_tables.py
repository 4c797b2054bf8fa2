"""The tables of a confusion study's report."""

import pandas as pd

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    null_results,
    planted_findings,
    study_results,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.datasets import class_pairs
from keras_confusion.reports import readings_report

_COMPARED = (
    "target_by_pair",
    "target_by_class",
    "discriminability_by_pair",
    "discriminability_by_class",
)


def study_tables(
    study: study_results.Study, per_network: pd.DataFrame, test: str
) -> dict[str, pd.DataFrame]:
    """All tables of a report but that of the networks, by name.

    Args:
        study: A study with trained networks.
        per_network: As `tables.networks_table`.
        test: One of `findings.TESTS`, by which `findings` are chosen.
    """
    description, class_names = study.description, study.class_names
    all_tables = {
        "arms": comparison_tables.arms(study, per_network),
        "classes": comparison_tables.classes(study.responses, class_names),
        "class_correlations": comparison_tables.class_correlations(
            study.responses, class_names
        ),
        "target_by_pair": target_by_pair.target_by_pair(study.responses, class_names),
    }
    if has_all_pairs(description):
        by_class = target_by_class.target_by_class(study.responses, class_names)
        all_tables["target_by_class"] = by_class
    if study.readings:
        all_tables |= readings_report.reading_tables(
            study.readings, class_names, by_class=has_all_pairs(description)
        )
    if planted_findings.is_planted(description):
        all_tables["planted_truth"] = planted_findings.truth_table(all_tables, test)
    told = {
        name: _as_told(table, test)
        for name, table in all_tables.items()
        if name in _COMPARED
    }
    return all_tables | {"findings": null_results.found_cells(told)}


def has_all_pairs(description: dict) -> bool:
    """Whether classes can be compared, as all pairs were run."""
    return class_pairs.has_all_pairs(
        description["settings"]["pairs"], len(description["class_names"])
    )


def _as_told(table: pd.DataFrame, test: str) -> pd.DataFrame:
    """A table by one test, without the cells whose target is in the pair."""
    if "family" in table:
        return comparison_findings.third_classes(table, test)
    return comparison_findings.with_test(table, test)
