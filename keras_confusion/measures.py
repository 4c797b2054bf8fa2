"""Every measure of a comparison, tested by itself.

`comparisons` tests the difference of accuracies. The bits are numbers beside it; here
each is made a value of a single network, so that networks can be compared by it:

    difference               share of T's test images that are given T
    entropy_bits             minus the binary entropy of that share
    mutual_information_bits  I(1[y = T]; 1[answer = T]) of the network
    log_likelihood_bits      mean log2-probability of T; the one without a threshold

All fall where something is lost. `kl_bits` is a function of both groups' means that is
zero only where they are equal: its test is that of the difference.
"""

import numpy as np
import pandas as pd

from keras_confusion import stats
from keras_confusion.comparison_columns import Columns, paired_columns
from keras_confusion.responses import RESPONSES, Rates, StudyResponses

MEASURES = (
    "difference",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
)
TESTS = ("welch", "paired")


def network_values(rates: Rates, prior: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of single networks.

    Args:
        rates: Responses `(num_networks, K)`.
        prior: Share of each class among the test images, `(K,)`.

    Returns:
        By name of `MEASURES`, float arrays `(num_networks, K)`: a share of 1, or bits;
        NaN where the response is.
    """
    return {
        "difference": rates.accuracy,
        "entropy_bits": stats.entropy_bits(rates.accuracy, 0.0),
        "mutual_information_bits": stats.mutual_information_bits(
            rates.accuracy, rates.false_positive_rate, prior=prior
        ),
        "log_likelihood_bits": rates.log2_probability,
    }


def target_by_pair_tests(study: StudyResponses) -> pd.DataFrame:
    """Tests every measure for every pair and every target outside it.

    Args:
        study: The responses of all networks.

    Returns:
        One row per response, measure, test, pair and target, with `class_a`,
        `class_b`, `target`, `difference` (confused minus baseline, a share or bits),
        `p_value`, and `q_value` within the response, measure and test.
    """
    targets = np.arange(len(study.prior))
    parts: list[Columns] = []
    for response in RESPONSES:
        for index, pair in enumerate(study.pairs):
            in_arm = study.confused_pair == index
            if response == "accuracy":
                of_confused, of_baseline = study.confused, study.baseline
                prior = study.prior
            else:
                of_confused = study.confused_without_pair
                of_baseline = _select(study.baseline_without_pair, index)
                prior = study.prior / (1 - study.prior[list(pair)].sum())
            third = ~np.isin(targets, pair)
            confused, baseline = (
                network_values(_select(rates, (slice(None), third)), prior[third])
                for rates in (_select(of_confused, in_arm), of_baseline)
            )
            for measure in MEASURES:
                welch = stats.compare(confused[measure].T, baseline[measure].T)
                paired = paired_columns(
                    confused[measure],
                    study.confused_seed[in_arm],
                    baseline[measure],
                    study.baseline_seed,
                )
                place = {
                    "response": response,
                    "measure": measure,
                    "class_a": pair[0],
                    "class_b": pair[1],
                    "target": targets[third],
                    "difference": welch.difference,
                }
                for test, p_value in zip(
                    TESTS, (welch.p_value, paired["paired_p_value"]), strict=True
                ):
                    parts.append({**place, "test": test, "p_value": p_value})
    table = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    table["q_value"] = table.groupby(["response", "measure", "test"])[
        "p_value"
    ].transform(lambda p_values: stats.benjamini_hochberg(p_values.to_numpy(float)))
    return table


def _select(rates: Rates, index) -> Rates:
    return Rates(
        rates.accuracy[index],
        rates.false_positive_rate[index],
        rates.log2_probability[index],
    )
