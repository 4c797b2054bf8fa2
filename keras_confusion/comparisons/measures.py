"""Every measure of a comparison, tested by itself.

`comparisons` tests the difference of accuracies. The bits are numbers beside it; here
each is made a value of a single network, so that networks can be compared by it:

    difference               share of T's test images that are given T
    entropy_bits             minus the binary entropy of that share
    mutual_information_bits  I(1[y = T]; 1[answer = T]) of the network
    log_likelihood_bits      mean log2-probability of T; the one without a threshold

All fall where something is lost (`entropy_bits` only while T is given to more than half
of its images: below that it rises). `kl_bits` is a function of both groups' means that
is zero only where they are equal: its test is that of the difference.
"""

import functools

import numpy as np
import pandas as pd

from keras_confusion.comparisons import moderated_cells
from keras_confusion.comparisons.findings import MODERATED, PAIRED, WELCH
from keras_confusion.comparisons.group_statistics import POINTS, Columns, paired_columns
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.stats import t_tests

MEASURES = (
    "difference",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
)


def network_values(rates: Rates, prior: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of single networks.

    Args:
        rates: Responses `(..., K)`.
        prior: Share of each class among the test images, broadcast to the same shape.

    Returns:
        By name of `MEASURES`, float arrays `(..., K)`: a share of 1, or bits; NaN where
        the response is.
    """
    return {
        "difference": rates.accuracy,
        "entropy_bits": t_tests.entropy_bits(rates.accuracy, 0.0),
        "mutual_information_bits": t_tests.mutual_information_bits(
            rates.accuracy, rates.false_positive_rate, prior=prior
        ),
        "log_likelihood_bits": rates.log2_probability,
    }


def target_by_pair_tests(study: StudyResponses) -> pd.DataFrame:
    """Tests every measure for every pair and every target outside it.

    Args:
        study: The responses of all networks, read with `single_networks`.

    Returns:
        One row per response, measure, test of `findings.TESTS`, pair and target,
        with `class_a`, `class_b`, `target`, `difference` (confused minus baseline, a
        share or bits), `p_value`, and `q_value` within the response, measure and test.
    """
    targets = np.arange(len(study.prior))
    parts: list[Columns] = []
    for response in RESPONSES:
        response_values = _values_of_study(study, response)
        for measure in MEASURES:
            confused, baseline = response_values[measure]
            cells = moderated_cells.by_pair(
                study,
                functools.partial(_target_values, confused),
                functools.partial(_network_values, baseline),
            )
            for index, pair in enumerate(study.pairs):
                third = ~np.isin(targets, pair)
                in_arm = study.confused_pair == index
                arm_values, baseline_values = confused[in_arm], baseline[index]
                welch = t_tests.compare(
                    arm_values[:, third].T, baseline_values[:, third].T
                )
                paired = paired_columns(
                    arm_values[:, third],
                    study.confused_seed[in_arm],
                    baseline_values[:, third],
                    study.baseline_seed,
                )
                moderated = {key: values[index, third] for key, values in cells.items()}
                place = {
                    "response": response,
                    "measure": measure,
                    "class_a": pair[0],
                    "class_b": pair[1],
                    "target": targets[third],
                }
                for test, difference, p_value in (
                    (WELCH, welch.difference, welch.p_value),
                    (
                        PAIRED,
                        paired["paired_difference_points"] / POINTS,
                        paired["paired_p_value"],
                    ),
                    (
                        MODERATED,
                        moderated["moderated_difference_points"] / POINTS,
                        moderated["moderated_p_value"],
                    ),
                ):
                    tested = {"test": test, "difference": difference}
                    parts.append({**place, **tested, "p_value": p_value})
    table = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    table["q_value"] = table.groupby(["response", "measure", "test"])[
        "p_value"
    ].transform(lambda p_values: t_tests.benjamini_hochberg(p_values.to_numpy(float)))
    return table


def _target_values(values: np.ndarray, target: int) -> np.ndarray:
    return values[:, target]


def _network_values(values: np.ndarray, target: int) -> np.ndarray:
    return values[:, :, target]


def _values_of_study(
    study: StudyResponses, response: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By measure, values `(num_confused, K)` and baselines `(P, num_baseline, K)`."""
    num_pairs = len(study.pairs)
    if response == "accuracy":
        confused, baseline = (
            network_values(rates.select(slice(None)), study.prior)
            for rates in (study.confused, study.baseline)
        )
        return {
            measure: (
                confused[measure],
                np.broadcast_to(
                    baseline[measure], (num_pairs, *baseline[measure].shape)
                ),
            )
            for measure in MEASURES
        }
    # The share of a class is larger where two others are left out.
    priors = np.stack(
        [study.prior / (1 - study.prior[list(pair)].sum()) for pair in study.pairs]
    )
    without_pair = study.baseline_without_pair
    if not isinstance(without_pair, ListedRates):
        raise ValueError(
            "Expected a study with the responses of single networks. Received: counts. "
            "Use read_study(..., single_networks=True)."
        )
    confused = network_values(
        study.confused_without_pair.select(slice(None)), priors[study.confused_pair]
    )
    baseline = network_values(without_pair.rates, priors[:, None])
    return {measure: (confused[measure], baseline[measure]) for measure in MEASURES}
