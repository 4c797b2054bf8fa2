"""The poster's claims on CIFAR-10, measured on a study: rows for each of them.

A row is a dictionary, or a tuple of `poster_statistics`. Tables of target x pair hold
third classes only.
"""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import scipy.cluster.hierarchy
import sklearn.metrics

from benchmarks.validity import poster_statistics
from keras_confusion.comparisons import clustering
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.comparisons.findings import PAIRED, SIGNIFICANCE, TESTS, WELCH
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.stats import t_tests

VEHICLES = ("airplane", "automobile", "ship", "truck")
CLAIMED = (("automobile", "truck"), ("automobile", "frog"))
VANISHED = ("bird", "dog")
BY_CLASS, BY_PAIR = "target x class", "target x pair"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A study of all pairs of CIFAR-10's classes, compared.

    Args:
        class_names: Names in the order of the labels.
        study: The responses of all networks.
        cells: The tables of `comparisons` by `BY_CLASS` and `BY_PAIR`.
        repeats: The same of every complete repeat by itself, rows as in `cells`.
    """

    class_names: list[str]
    study: StudyResponses
    cells: dict[str, pd.DataFrame]
    repeats: dict[str, list[pd.DataFrame]]

    def rows(self, comparison: str, response: str, test: str = WELCH) -> pd.DataFrame:
        """The cells of one response, as one test has them."""
        table = comparison_findings.with_test(self.cells[comparison], test)
        return table[table["response"] == response]

    def matrix(self, response: str, column: str) -> np.ndarray:
        """Target x class, `(K, K)`; NaN on the diagonal."""
        return self._matrix(self.rows(BY_CLASS, response), column)

    def matrices(self, response: str) -> np.ndarray:
        """Differences of target x class in every repeat, points `(n, K, K)`."""
        return np.array(
            [
                self._matrix(table[table["response"] == response], "difference_points")
                for table in self.repeats[BY_CLASS]
            ]
        )

    def values(self, comparison: str, response: str, column: str) -> np.ndarray:
        """One column of every repeat's cells, `(n, cells)`."""
        return np.array(
            [
                table.loc[table["response"] == response, column]
                for table in self.repeats[comparison]
            ]
        )

    def _matrix(self, rows: pd.DataFrame, column: str) -> np.ndarray:
        num_classes = len(self.class_names)
        return comparison_tables.matrix(
            rows, column, columns=range(num_classes), num_classes=num_classes
        )

    @property
    def vehicles(self) -> list[int]:
        """The labels of `VEHICLES`."""
        return [self.class_names.index(name) for name in VEHICLES]


def pair_has(rows: pd.DataFrame, name: str) -> pd.Series:
    """Which rows of target x pair confuse a class with another."""
    return (rows["class_a_name"] == name) | (rows["class_b_name"] == name)


def of_classes(measured: Measured, pairs) -> list[dict]:
    """The cells of target x class of pairs of classes, both ways, by all tests."""
    found = []
    for one, other in pairs:
        for target, confused in ((one, other), (other, one)):
            for response, test in itertools.product(RESPONSES, TESTS):
                rows = measured.rows(BY_CLASS, response, test)
                is_cell = (rows["target_name"] == target) & (
                    rows["class_name"] == confused
                )
                found.append({**rows[is_cell].iloc[0].to_dict(), "test": test})
    return found


def of_pairs(measured: Measured, pairs) -> list[dict]:
    """The same for target x pair: over all pairs with the class, and the strongest.

    Returns:
        Rows with `target_name`, `class_name`, `response`, `mean` (an `Interval` over
        repeats), `num` cells, `costs` (how many are below 0), `found` by test, and the
        `strongest` cell by Welch's p-value, with the columns of all tests.
    """
    found = []
    for one, other in pairs:
        for target, confused in ((one, other), (other, one)):
            for response in RESPONSES:
                rows = measured.rows(BY_PAIR, response)
                is_cell = (rows["target_name"] == target) & pair_has(rows, confused)
                of_repeats = measured.values(BY_PAIR, response, "difference_points")
                cells = rows[is_cell]
                found.append(
                    {
                        "target_name": target,
                        "class_name": confused,
                        "response": response,
                        "mean": poster_statistics.mean_of_repeats(
                            of_repeats[:, is_cell].mean(axis=1)
                        ),
                        "num": len(cells),
                        "costs": int((cells["difference_points"] < 0).sum()),
                        "found": {
                            test: int(
                                comparison_findings.with_test(cells, test)["q_value"]
                                .le(SIGNIFICANCE)
                                .sum()
                            )
                            for test in TESTS
                        },
                        "strongest": cells.sort_values("p_value").iloc[0].to_dict(),
                    }
                )
    return found


def blocks(measured: Measured) -> list[dict]:
    """Animals and vehicles: means within and across, intervals, splits, the tree.

    Returns:
        A row per response: `points` and `bits` (`SplitTest`), `intervals` by (part,
        test), parts "within", "across" and "contrast", and `trees` by what makes
        classes close, that one's confusion is the other's "cost" or its "gain".
    """
    num_classes = len(measured.class_names)
    same = poster_statistics.same_side(measured.vehicles, num_classes)
    other = ~same & ~np.eye(num_classes, dtype=bool)
    shares = {"within": same / same.sum(), "across": other / other.sum()}
    shares["contrast"] = shares["within"] - shares["across"]
    found = []
    for response in RESPONSES:
        of_repeats = measured.matrices(response)
        intervals = {}
        for part, share in shares.items():
            sums = np.nansum(of_repeats * share, axis=(1, 2))
            intervals[part, PAIRED] = poster_statistics.mean_of_repeats(sums)
            intervals[part, WELCH] = poster_statistics.mean_of_cells(
                measured.study, response, share
            )
        points = measured.matrix(response, "difference_points")
        found.append(
            {
                "response": response,
                "points": poster_statistics.split_test(points, measured.vehicles),
                "bits": poster_statistics.split_test(
                    measured.matrix(response, "kl_bits"), measured.vehicles
                ),
                "intervals": intervals,
                "trees": {
                    "cost": tree(points, measured.vehicles),
                    "gain": tree(-points, measured.vehicles),
                },
            }
        )
    return found


def tree(differences: np.ndarray, side) -> dict:
    """How well the two groups of `clustering.class_tree` are a split of the classes.

    Returns:
        `groups`, two lists of labels; `rand`, Hubert & Arabie's (1985) adjusted Rand
        index, 1 for the split itself and 0 by chance; `p_value`, the share of splits
        of the same sizes that agree as well with the tree; `nearest`, the share of
        classes whose nearest class is on their side, and `nearest_by_chance`.
    """
    num_classes = len(differences)
    found = clustering.class_tree(differences)
    if found is None:
        raise ValueError(
            "Expected every cell of target x class. Received: cells without networks. "
            "Use a finished study of all pairs."
        )
    group = scipy.cluster.hierarchy.fcluster(found.linkage, 2, criterion="maxclust")

    def agreement(chosen) -> float:
        is_in = np.isin(np.arange(num_classes), list(chosen))
        return float(sklearn.metrics.adjusted_rand_score(is_in, group))

    splits = itertools.combinations(range(num_classes), len(side))
    agreements = np.array([agreement(chosen) for chosen in splits])
    rand = agreement(side)
    cost = -(differences + differences.T)
    np.fill_diagonal(cost, -np.inf)
    same = poster_statistics.same_side(side, num_classes)
    nearest = same[np.arange(num_classes), cost.argmax(axis=1)]
    return {
        "groups": [np.flatnonzero(group == one).tolist() for one in (1, 2)],
        "rand": rand,
        "p_value": float((agreements >= rand - 1e-9).mean()),
        "nearest": float(nearest.mean()),
        "nearest_by_chance": float(same.sum() / (num_classes * (num_classes - 1))),
    }


def degrees_of_freedom(measured: Measured) -> list[dict]:
    """Bird and dog by Welch's df and by others, and how many cells each calls found.

    Returns:
        A row per comparison and response: `cells`, those of bird and dog with the
        columns of `poster_statistics.other_degrees_of_freedom` and `q_*`; `counts` by
        test of (p <= 0.05, q <= 0.05) in the family; `num`.
    """
    found = []
    for comparison, response in itertools.product((BY_CLASS, BY_PAIR), RESPONSES):
        rows = measured.rows(comparison, response)
        others = poster_statistics.other_degrees_of_freedom(rows)
        counts = {}
        for test in ("welch", "wrong_df", "student", "smaller"):
            q_values = t_tests.benjamini_hochberg(others[test].to_numpy(float))
            others[f"q_{test}"] = q_values
            counts[test] = (
                int((others[test] <= SIGNIFICANCE).sum()),
                int((q_values <= SIGNIFICANCE).sum()),
            )
        others = rows.drop(columns="q_value").join(others)
        is_cell = np.zeros(len(rows), bool)
        for target, confused in (VANISHED, VANISHED[::-1]):
            is_class = (
                rows["class_name"] == confused
                if comparison == BY_CLASS
                else pair_has(rows, confused)
            )
            is_cell |= (rows["target_name"] == target) & is_class
        cells = others[is_cell].sort_values("welch")
        found.append(
            {
                "comparison": comparison,
                "response": response,
                "cells": cells.to_dict("records"),
                "counts": counts,
                "num": int(rows["t"].notna().sum()),
            }
        )
    return found


def competition(measured: Measured) -> list[dict]:
    """How much is found, and how far cells truly differ, for each response.

    Returns:
        A row per comparison: by response `found` (of each test), `num` (of each),
        `mean`, `sd` and the true `variance` by three estimates; `share`, that of the
        variance of `accuracy` which is gone without the pair, by the same estimates,
        with `low` and `high` by the jackknife over targets.
    """
    rows = []
    for comparison in (BY_CLASS, BY_PAIR):
        row: dict = {"comparison": comparison}
        for response in RESPONSES:
            of_test = {
                test: measured.rows(comparison, response, test) for test in TESTS
            }
            differences = of_test[WELCH]["difference_points"]
            row[response] = {
                "found": {
                    test: int((table["q_value"] <= SIGNIFICANCE).sum())
                    for test, table in of_test.items()
                },
                "num": {
                    test: int(table["q_value"].notna().sum())
                    for test, table in of_test.items()
                },
                "mean": float(differences.mean()),
                "sd": float(differences.std(ddof=1)),
                "variance": _true_variances(measured, comparison, response),
            }
        row["share"] = {
            estimate: _jackknife(measured, comparison, estimate)
            for estimate in row["accuracy"]["variance"]
        }
        rows.append(row)
    return rows


def _true_variances(measured, comparison, response, without_target=None) -> dict:
    rows = measured.rows(comparison, response)
    kept = (rows["target"] != without_target).to_numpy()
    paired = measured.rows(comparison, response, PAIRED)
    of_repeats = measured.values(comparison, response, "difference_points")
    return {
        WELCH: poster_statistics.true_variance(rows[kept]),
        PAIRED: poster_statistics.true_variance(paired[kept]),
        "repeats": poster_statistics.shared_variance(of_repeats[:, kept]),
    }


def _jackknife(measured, comparison, estimate) -> poster_statistics.Interval:
    """Share of competition; Tukey's (1958) pseudo-values, a target left out each."""

    def share(without_target=None) -> float:
        plain, learned = (
            _true_variances(measured, comparison, response, without_target)[estimate]
            for response in RESPONSES
        )
        return 1 - learned / plain

    num = len(measured.class_names)
    whole = share()
    pseudo = np.array([num * whole - (num - 1) * share(k) for k in range(num)])
    about = poster_statistics.mean_of_repeats(pseudo)
    shift = whole - about.estimate
    return about._replace(
        estimate=whole, low=about.low + shift, high=about.high + shift
    )
