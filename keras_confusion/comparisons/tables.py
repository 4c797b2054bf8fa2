"""Tables that describe a study: every arm, every class, every network."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.stats

from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.comparisons.study_results import Study
from keras_confusion.stats import t_tests
from keras_confusion.stats.moments import moments

# Fewer baseline networks have no interval of their correlation.
_FEWEST_CORRELATED = 3
_Z_95 = scipy.stats.norm.ppf(0.975)
# Networks whose accuracies are made together.
_NETWORKS_A_PART = 5000


def networks_table(study: Study) -> pd.DataFrame:
    """One row per network: its seeds, loss, time and accuracy; no test answers.

    Returns:
        `study.networks` with the names of the classes of its pair, and `accuracy` over
        the test set, NaN if it failed.
    """
    table, names = study.networks.copy(), study.class_names
    for column in ("class_a", "class_b"):
        member_names = [None if pd.isna(k) else names[int(k)] for k in table[column]]
        table.insert(table.columns.get_loc(column) + 1, f"{column}_name", member_names)
    prior = study.responses.prior
    parts = [accuracy @ prior for _, accuracy, _ in _accuracies(study)]
    table["accuracy"] = np.concatenate([*parts, np.empty(0)])
    return table


def networks_with_classes(
    study: Study, per_network: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """The accuracies of every class beside those of `networks_table`, in parts.

    Args:
        study: The study.
        per_network: As `networks_table` returns it.

    Yields:
        Rows of the table with `accuracy_<class>` and `accuracy_without_pair_<class>`.
    """
    names = study.class_names
    for networks, *accuracies in _accuracies(study):
        columns = {
            f"{response}_{name}": values[:, label]
            for response, values in zip(RESPONSES, accuracies, strict=True)
            for label, name in enumerate(names)
        }
        part = per_network.iloc[networks]
        yield part.join(pd.DataFrame(columns, index=part.index))


def _accuracies(study: Study) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Some networks, their accuracies and those without the pair, `(n, K)` each."""
    done = ~study.networks["failed"].to_numpy(bool)
    is_baseline = study.networks["class_a"].isna().to_numpy(bool)
    position = np.full(len(done), -1)
    for group in (done & is_baseline, done & ~is_baseline):
        position[group] = np.arange(group.sum())
    responses, num_classes = study.responses, len(study.class_names)
    for first in range(0, len(done), _NETWORKS_A_PART):
        networks = np.arange(first, min(first + _NETWORKS_A_PART, len(done)))
        accuracy, without_pair = np.full((2, len(networks), num_classes), np.nan)
        here = done[networks] & is_baseline[networks]
        accuracy[here] = responses.baseline.select(position[networks[here]]).accuracy
        here = done[networks] & ~is_baseline[networks]
        chosen = position[networks[here]]
        accuracy[here] = responses.confused.select(chosen).accuracy
        without_pair[here] = responses.confused_without_pair.select(chosen).accuracy
        yield networks, accuracy, without_pair


def arms(study: Study, per_network: pd.DataFrame) -> pd.DataFrame:
    """Describes the networks of every arm.

    Args:
        study: The study.
        per_network: As `networks_table` returns it.

    Returns:
        One row per arm: its classes, number of networks and of failures, mean, sd,
        lowest and highest accuracy over the test set, mean accuracy of the pair's
        own classes and of the third classes, mean training loss and seconds, and the
        versions of the code that trained them.
    """
    done = per_network[~per_network["failed"]].groupby("arm", sort=False)
    all_networks = per_network.groupby("arm", sort=False)
    table = all_networks[["class_a_name", "class_b_name"]].first(skipna=False)
    table["n"] = done.size().reindex(table.index, fill_value=0)
    table["num_failed"] = all_networks.size() - table["n"]
    accuracy = done["accuracy"]
    table["mean_accuracy"] = accuracy.mean()
    table["sd_accuracy"] = accuracy.std()
    table["lowest_accuracy"] = accuracy.min()
    table["highest_accuracy"] = accuracy.max()
    pairs = all_networks[["class_a", "class_b"]].first(skipna=False)
    by_kind = [
        (_mean(arm_accuracy[:, member]), _mean(arm_accuracy[:, ~member]))
        for arm_accuracy, member in _arms(study, pairs.itertuples(index=False))
    ]
    table[["mean_accuracy_members", "mean_accuracy_third"]] = by_kind
    table["mean_training_loss"] = done["final_training_loss"].mean()
    table["mean_seconds"] = done["seconds"].mean()
    table["codes"] = all_networks["code"].agg(
        lambda codes: "; ".join(sorted(codes.fillna("").unique()))
    )
    return table.reset_index()


def _arms(study: Study, pairs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Accuracies of the networks of arms, `(n, K)`, and which classes are confused."""
    responses = study.responses
    number = {pair: index for index, pair in enumerate(responses.pairs)}
    # Networks are in the order of the pairs.
    bounds = np.searchsorted(responses.confused_pair, np.arange(len(number) + 1))
    for class_a, class_b in pairs:
        member = np.zeros(len(study.class_names), bool)
        if pd.isna(class_a):
            yield responses.baseline.select(slice(None)).accuracy, member
            continue
        pair = int(class_a), int(class_b)
        member[list(pair)] = True
        index = number[pair]
        networks = slice(bounds[index], bounds[index + 1])
        yield responses.confused.select(networks).accuracy, member


def classes(study: StudyResponses, class_names) -> pd.DataFrame:
    """Describes the baseline's accuracy on every class: n, mean, sd."""
    accuracy = moments(study.baseline.select(slice(None)).accuracy.T)
    return pd.DataFrame(
        {
            "class": np.arange(len(class_names)),
            "class_name": list(class_names),
            "test_images": study.test_images_per_class,
            "n_baseline": accuracy.n,
            "mean_accuracy": accuracy.mean,
            "sd_accuracy": accuracy.sd,
        }
    )


def class_correlations(study: StudyResponses, class_names) -> pd.DataFrame:
    """Which classes' accuracies rise and fall together over the baseline networks.

    Where one network is better at a class than another, is it at the other class, too?
    Nothing was confused, so it is about chance between networks, and not about what is
    learned from what: classes that are taken for each other compete.

    Args:
        study: The responses of all networks.
        class_names: Names in the order of the labels.

    Returns:
        One row per two classes: `n` networks, Pearson's `correlation` with its 95 %
        interval (Fisher 1921, Metron 1:3) and two-sided p-value, NaN with fewer than 4
        networks or without variance, and Benjamini and Hochberg's `q_value`.
    """
    accuracy = study.baseline.select(slice(None)).accuracy
    n = len(accuracy)
    first, second = np.triu_indices(len(class_names), 1)
    correlation = np.full(len(first), np.nan)
    if n > _FEWEST_CORRELATED:
        has_variance = moments(accuracy.T).sd > 0
        known = has_variance[first] & has_variance[second]
        varying = np.where(has_variance, accuracy, np.arange(n)[:, None])
        every = np.corrcoef(varying.T)[first, second]
        correlation[known] = np.clip(every, -1, 1)[known]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, half = np.arctanh(correlation), _Z_95 / np.sqrt(max(n - 3, 1))
        t = correlation * np.sqrt((n - 2) / (1 - correlation**2))
    p_values = 2 * scipy.stats.t.sf(np.abs(t), max(n - 2, 1))
    names = np.array(class_names, object)
    return pd.DataFrame(
        {
            "class_a": first,
            "class_a_name": names[first],
            "class_b": second,
            "class_b_name": names[second],
            "n": n,
            "correlation": correlation,
            "ci_low": np.tanh(z - half),
            "ci_high": np.tanh(z + half),
            "p_value": p_values,
            "q_value": t_tests.benjamini_hochberg(p_values),
        }
    )


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
