"""Tables that describe a study: every arm, every class, every network."""

import numpy as np
import pandas as pd

from keras_confusion import stats
from keras_confusion.responses import RESPONSES, StudyResponses


def arms(networks: pd.DataFrame, study: StudyResponses, class_names) -> pd.DataFrame:
    """Describes the networks of every arm.

    Returns:
        One row per arm: its classes, number of networks and of failures, mean, sd,
        lowest and highest accuracy over the test set, mean accuracy of the pair's
        own classes and of the third classes, mean training loss and seconds.
    """
    per_network = networks_table(networks, study, class_names)
    accuracy = per_network[[f"accuracy_{name}" for name in class_names]].to_numpy(float)
    rows = []
    for arm, group in per_network.groupby("arm", sort=False):
        done = group[~group["failed"]]
        member = np.zeros(len(class_names), bool)
        if pd.notna(group["class_a"].iloc[0]):
            member[[int(group["class_a"].iloc[0]), int(group["class_b"].iloc[0])]] = (
                True
            )
        of_arm = accuracy[done.index]
        rows.append(
            {
                "arm": arm,
                "class_a_name": group["class_a_name"].iloc[0],
                "class_b_name": group["class_b_name"].iloc[0],
                "n": len(done),
                "num_failed": len(group) - len(done),
                "mean_accuracy": done["accuracy"].mean(),
                "sd_accuracy": done["accuracy"].std(),
                "lowest_accuracy": done["accuracy"].min(),
                "highest_accuracy": done["accuracy"].max(),
                "mean_accuracy_members": _mean(of_arm[:, member]),
                "mean_accuracy_third": _mean(of_arm[:, ~member]),
                "mean_training_loss": done["final_training_loss"].mean(),
                "mean_seconds": done["seconds"].mean(),
            }
        )
    return pd.DataFrame(rows)


def classes(study: StudyResponses, class_names) -> pd.DataFrame:
    """Describes the baseline's accuracy on every class: n, mean, sd."""
    # Compared with itself for its mean and sd, which know rounding from variance.
    accuracy = stats.compare(study.baseline.accuracy.T, study.baseline.accuracy.T)
    return pd.DataFrame(
        {
            "class": np.arange(len(class_names)),
            "class_name": list(class_names),
            "test_images": study.test_images_per_class,
            "n_baseline": accuracy.n_comparison,
            "mean_accuracy": accuracy.mean_comparison,
            "sd_accuracy": accuracy.sd_comparison,
        }
    )


def networks_table(
    networks: pd.DataFrame, study: StudyResponses, class_names
) -> pd.DataFrame:
    """One row per network: its seeds, loss, time and accuracies; no test answers."""
    keep = [
        "arm",
        "class_a",
        "class_b",
        "repeat",
        "seed",
        "recipe",
        "epochs",
        "attempt",
    ]
    keep += ["failed", "note", "final_training_loss", "seconds", "finished_at"]
    table = networks[keep].reset_index(drop=True)
    table["failed"] = table["failed"].astype(bool)
    for column in ("class_a", "class_b"):
        names = [None if pd.isna(k) else class_names[int(k)] for k in table[column]]
        table.insert(table.columns.get_loc(column) + 1, f"{column}_name", names)
    is_baseline = table["class_a"].isna()
    done = ~table["failed"]
    table["accuracy"] = np.nan
    accuracies = np.full((len(table), len(class_names)), np.nan)
    accuracies[done & is_baseline] = study.baseline.accuracy
    accuracies[done & ~is_baseline] = study.confused.accuracy
    without_pair = np.full((len(table), len(class_names)), np.nan)
    without_pair[done & ~is_baseline] = study.confused_without_pair.accuracy
    table["accuracy"] = accuracies @ study.prior
    columns = {
        f"{response}_{name}": values[:, label]
        for response, values in zip(RESPONSES, (accuracies, without_pair), strict=True)
        for label, name in enumerate(class_names)
    }
    return table.join(pd.DataFrame(columns, index=table.index))


def matrix(
    table: pd.DataFrame, column: str, *, columns, num_classes: int
) -> np.ndarray:
    """One column of a table of one response as an array, targets down.

    Args:
        table: Rows of one response of `target_by_pair` or `target_by_class`.
        column: The column whose values are wanted.
        columns: Pairs (a, b), or a range of classes.
        num_classes: Number of targets, K.

    Returns:
        A float array `(K, len(columns))`, NaN where the table has no row.
    """
    values = np.full((num_classes, len(columns)), np.nan)
    position = {key: index for index, key in enumerate(columns)}
    if "class" in table:
        keys = table["class"]
    else:
        keys = zip(table["class_a"], table["class_b"], strict=True)
    columns_of_rows = [position[key] for key in keys]
    values[table["target"].to_numpy(int), columns_of_rows] = table[column]
    return values


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
