import numpy as np
import pandas as pd
import scipy.special

from keras_confusion.comparisons import responses
from keras_confusion.confusion import answers as confusion_answers

# Four classes, eight test images, two of each class.
TEST_LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
PAIRS = [(0, 1), (1, 3)]


def row(pair, repeat, logits, *, failed=False):
    arm = "baseline" if pair is None else f"{pair[0]}-{pair[1]}"
    a, b = pair or (None, None)
    answers = confusion_answers.summarise_logits(
        logits, TEST_LABELS, PAIRS if pair is None else [pair]
    )
    if failed:
        answers = dict.fromkeys(answers)
    return {
        "arm": arm,
        "class_a": a,
        "class_b": b,
        "repeat": repeat,
        "seed": repeat,
        "failed": failed,
        **answers,
    }


def frame(rows):
    networks = pd.DataFrame(rows)
    return networks.astype({"class_a": "Int16", "class_b": "Int16"})


def random_logits(rng):
    return rng.normal(size=(len(TEST_LABELS), 4)) * 2


def test_summary_of_logits_by_hand():
    # One image of class 1 with probabilities 1/2, 1/4, 1/8, 1/8.
    logits = np.log([[0.5, 0.25, 0.125, 0.125]])
    summary = confusion_answers.summarise_logits(
        logits, np.array([1]), [(0, 2), (1, 3)]
    )
    assert summary["predictions"].tolist() == [0]
    assert summary["second_labels"].tolist() == [1]
    assert summary["third_labels"].tolist() == [2]
    np.testing.assert_allclose(summary["log2_probability"][1], -2)
    assert np.isnan(summary["log2_probability"][[0, 2, 3]]).all()
    without = summary["log2_probability_without_pair"].reshape(2, 4)
    # Without 0 and 2 the image has 1/4 against 1/8: two thirds.
    np.testing.assert_allclose(without[0, 1], np.log2(2 / 3))
    assert np.isnan(without[1]).all()


def test_winner_without_pair():
    top = np.array([[0, 1, 2, 1], [1, 0, 1, 2], [2, 3, 0, 0]])
    np.testing.assert_array_equal(
        confusion_answers.winners_without_pair(top, (0, 1)), [2, 3, 2, 2]
    )


def test_accuracies_of_one_network_are_those_of_the_study(rng):
    rows = [row(None, 0, random_logits(rng)), row(PAIRS[1], 0, random_logits(rng))]
    study = responses.study_responses(
        frame(rows), TEST_LABELS, num_classes=4, pairs=PAIRS, single_networks=True
    )
    accuracy, without_pairs = responses.network_accuracies(
        rows[0], TEST_LABELS, num_classes=4, pairs=PAIRS
    )
    np.testing.assert_array_equal(accuracy, study.baseline.accuracy[0])
    np.testing.assert_array_equal(
        without_pairs, study.baseline_without_pair.rates.accuracy[:, 0]
    )
    accuracy, without_pairs = responses.network_accuracies(
        rows[1], TEST_LABELS, num_classes=4, pairs=[PAIRS[1]]
    )
    np.testing.assert_array_equal(accuracy, study.confused.accuracy[0])
    np.testing.assert_array_equal(without_pairs, study.confused_without_pair.accuracy)
    _, nothing = responses.network_accuracies(
        rows[0], TEST_LABELS, num_classes=4, pairs=[]
    )
    assert nothing.shape == (0, 4)


def test_responses_agree_with_an_obvious_loop(rng):
    logits = {
        key: random_logits(rng)
        for key in [(None, 0), (None, 1), (PAIRS[0], 0), (PAIRS[1], 0), (PAIRS[0], 1)]
    }
    networks = frame([row(pair, r, value) for (pair, r), value in logits.items()])
    study = responses.study_responses(
        networks, TEST_LABELS, num_classes=4, pairs=PAIRS, single_networks=True
    )

    def expected(values, target, pair=()):
        values = values.copy()
        values[:, list(pair)] = -np.inf
        keep = ~np.isin(TEST_LABELS, pair)
        winners, labels = values.argmax(axis=1)[keep], TEST_LABELS[keep]
        bits = scipy.special.log_softmax(values, axis=1)[keep] / np.log(2)
        return (
            np.mean(winners[labels == target] == target),
            np.mean(winners[labels != target] == target),
            np.mean(bits[labels == target, target]),
        )

    def received(rates, *index):
        return (
            rates.accuracy[index],
            rates.false_positive_rate[index],
            rates.log2_probability[index],
        )

    # By pair and repeat, whatever order they came in.
    confused = sorted(key for key in logits if key[0] is not None)
    for network, (pair, repeat) in enumerate(confused):
        values = logits[pair, repeat]
        assert study.pairs[study.confused_pair[network]] == pair
        assert study.confused_seed[network] == repeat
        for target in range(4):
            np.testing.assert_allclose(
                received(study.confused, network, target), expected(values, target)
            )
            without = received(study.confused_without_pair, network, target)
            if target in pair:
                assert np.isnan(without).all()
            else:
                np.testing.assert_allclose(without, expected(values, target, pair))
    for network in range(2):
        values = logits[None, network]
        for target in range(4):
            np.testing.assert_allclose(
                received(study.baseline, network, target), expected(values, target)
            )
            for index, pair in enumerate(PAIRS):
                if target not in pair:
                    np.testing.assert_allclose(
                        received(
                            study.baseline_without_pair.rates, index, network, target
                        ),
                        expected(values, target, pair),
                    )


def test_failed_networks_are_left_out(rng):
    networks = frame(
        [
            row(None, 0, random_logits(rng)),
            row(None, 1, random_logits(rng), failed=True),
            row(PAIRS[0], 0, random_logits(rng), failed=True),
        ]
    )
    study = responses.study_responses(networks, TEST_LABELS, num_classes=4, pairs=PAIRS)
    assert study.baseline_seed.tolist() == [0]
    assert study.confused.accuracy.shape == (0, 4)


def test_competition_moves_accuracy_and_not_accuracy_without_pair():
    # An image of class 2 that the baseline gives to class 0; confusing 0 and 1 splits
    # what spoke for 0, and nothing else changes.
    baseline = np.log(np.tile([0.4, 0.05, 0.35, 0.2], (8, 1)))
    confused = np.log(np.tile([0.225, 0.225, 0.35, 0.2], (8, 1)))
    networks = frame([row(None, 0, baseline), row((0, 1), 0, confused)])
    study = responses.study_responses(networks, TEST_LABELS, num_classes=4, pairs=PAIRS)
    assert study.baseline.accuracy[0, 2] == 0
    assert study.confused.accuracy[0, 2] == 1
    assert study.baseline_without_pair.accuracy_of_pair(0)[0, 2] == 1
    assert study.confused_without_pair.accuracy[0, 2] == 1
    np.testing.assert_allclose(
        study.baseline_without_pair.mean("log2_probability")[0, 2],
        study.confused_without_pair.log2_probability[0, 2],
    )
