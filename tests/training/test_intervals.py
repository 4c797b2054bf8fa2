import fractions
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keras_confusion.training import intervals as training_intervals
from keras_confusion.training.intervals import interval_epochs, stratified_part

rising = st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(sorted)
seeds = st.integers(0, 2**40)


def shuffled_labels(sizes, seed=0):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


def data_intervals(labels, percentages, **options):
    options = {"epochs": 3, "batch_size": 4, "seed": 0} | options
    return interval_epochs(labels, percentages, interval_of="data", **options)


def step_intervals(labels, percentages, **options):
    options = {"epochs": 3, "batch_size": 4, "seed": 0} | options
    return interval_epochs(labels, percentages, interval_of="steps", **options)


def flat(epochs):
    return [tuple(batch) for batches in epochs for batch in batches.tolist()]


@pytest.mark.parametrize(
    ("percentage", "counts"),
    [
        (1, [1, 1, 1, 1]),
        (25, [2, 5, 1, 1]),
        (40, [3, 8, 1, 1]),
        (60, [5, 12, 2, 1]),
        (100, [8, 20, 3, 1]),
    ],
)
def test_a_part_has_so_many_percent_of_every_class(percentage, counts):
    labels = shuffled_labels([8, 20, 3, 1])
    part = stratified_part(labels, percentage, seed=3)
    assert np.bincount(labels[part]).tolist() == counts


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    percentages=rising,
    seed=seeds,
)
def test_parts_are_exact_and_each_holds_the_smaller_ones(sizes, percentages, seed):
    labels = shuffled_labels(sizes, seed)
    smaller = set()
    for percentage in percentages:
        part = stratified_part(labels, percentage, seed=seed)
        assert np.all(np.diff(part) > 0)
        counts = np.bincount(labels[part], minlength=len(sizes))
        for size, count in zip(sizes, counts.tolist(), strict=True):
            wanted = fractions.Fraction(size * percentage, 100)
            assert abs(count - wanted) <= fractions.Fraction(1, 2) or (
                count == 1 and wanted < 1
            )
        assert smaller <= set(part.tolist())
        smaller = set(part.tolist())


def test_a_part_is_drawn_by_its_seed_in_each_class():
    labels = shuffled_labels([40, 40])
    part = stratified_part(labels, 50, seed=1)
    np.testing.assert_array_equal(part, stratified_part(labels, 50, seed=1))
    other = stratified_part(labels, 50, seed=2)
    for label in (0, 1):
        class_part = part[labels[part] == label]
        assert set(class_part) != set(other[labels[other] == label])
        assert set(class_part) != set(np.flatnonzero(labels == label)[:20])
    # Not the same places among the examples of every class.
    by_class = np.repeat([0, 1], 40)
    first, second = stratified_part(by_class, 50, seed=1).reshape(2, 20)
    assert set(first) != set(second - 40)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    percentages=rising,
    batch_size=st.integers(1, 40),
    epochs=st.integers(1, 3),
    seed=seeds,
)
def test_every_epoch_on_data_is_its_part_in_whole_batches(
    sizes, percentages, batch_size, epochs, seed
):
    labels = shuffled_labels(sizes)
    intervals = data_intervals(
        labels, percentages, batch_size=batch_size, epochs=epochs, seed=seed
    )
    assert len(intervals) == len(percentages)
    for percentage, by_epoch in zip(percentages, intervals, strict=True):
        part = stratified_part(labels, percentage, seed=seed).tolist()
        assert len(by_epoch) == epochs
        for batches in by_epoch:
            num_steps, size = batches.shape
            # A part that is smaller than a batch is one.
            assert size == min(batch_size, len(part))
            assert num_steps == len(part) // size
            seen = batches.ravel().tolist()
            assert len(set(seen)) == len(seen)
            assert set(seen) <= set(part)


def test_every_epoch_and_interval_has_an_order_of_its_own():
    labels = shuffled_labels([10, 10])
    # 96 percent of 10 examples are all of them: the same part twice.
    intervals = data_intervals(labels, [96, 100], epochs=4, batch_size=5)
    orders = [tuple(flat([epoch])) for epochs in intervals for epoch in epochs]
    assert len(set(orders)) == 8
    assert {frozenset(np.ravel(order)) for order in orders} == {frozenset(range(20))}
    (by_steps,) = step_intervals(labels, [100], epochs=4, batch_size=5)
    assert len({tuple(flat([epoch])) for epoch in by_steps}) == 4


def test_what_one_epoch_leaves_out_another_shows():
    labels = shuffled_labels([11, 12])
    for intervals in (data_intervals, step_intervals):
        (by_epoch,) = intervals(labels, [100], epochs=12, batch_size=10)
        left_out = [set(range(23)) - set(batches.ravel()) for batches in by_epoch]
        assert {len(examples) for examples in left_out} == {3}
        assert not set.intersection(*left_out)


@pytest.mark.parametrize("interval_of", training_intervals.INTERVALS_OF)
def test_the_seed_decides_the_orders(interval_of):
    def batches(seed):
        intervals = interval_epochs(
            shuffled_labels([20, 20]),
            (50, 100),
            interval_of=interval_of,
            epochs=2,
            batch_size=8,
            seed=seed,
        )
        return [flat(epochs) for epochs in intervals]

    assert batches(1) == batches(1)
    assert all(a != b for a, b in zip(batches(1), batches(2), strict=True))


def test_steps_are_cut_where_they_should():
    # 4 epochs of 10 steps.
    labels = shuffled_labels([50, 53])
    intervals = step_intervals(labels, [25, 30, 41, 100], epochs=4, batch_size=10)
    lengths = [[len(batches) for batches in epochs] for epochs in intervals]
    # 41 % of 40 steps are 16.4: the step in which they are reached is in.
    assert lengths == [[10], [2], [5], [3, 10, 10]]


@settings(max_examples=100, deadline=None)
@given(
    num_examples=st.integers(1, 80),
    percentages=rising,
    batch_size=st.integers(1, 20),
    epochs=st.integers(1, 5),
    seed=seeds,
)
def test_intervals_of_steps_are_one_training(
    num_examples, percentages, batch_size, epochs, seed
):
    labels = np.zeros(num_examples, int)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    (whole,) = step_intervals(labels, [100], **options)
    assert len(whole) == epochs
    assert sorted(whole[-1].ravel()) == sorted(set(whole[-1].ravel().tolist()))
    steps, seen = flat(whole), []
    ends = [math.ceil(fractions.Fraction(len(steps) * p, 100)) for p in percentages]
    # Intervals without a step are refused.
    assume(len(set(ends)) == len(ends))
    intervals = step_intervals(labels, percentages, **options)
    for percentage, by_epoch in zip(percentages, intervals, strict=True):
        seen += flat(by_epoch)
        assert len(seen) == math.ceil(fractions.Fraction(len(steps) * percentage, 100))
    assert seen == steps[: len(seen)]


def test_the_posters_intervals_are_the_default():
    labels = shuffled_labels([100])
    intervals = interval_epochs(labels, epochs=1, batch_size=1, seed=0)
    lengths = [len(batches) for (batches,) in intervals]
    # Section "Prototypes during training" of the poster.
    assert lengths == [25, 40, 60, 70, 80, 90, 100]


@pytest.mark.parametrize(
    "percentages",
    [
        [],
        [0, 50],
        [-5],
        [50, 25],
        [25, 25],
        [50, 101],
        [100.1],
        [math.nan],
        [50, math.nan],
        [math.nan, 50],
        [math.inf],
    ],
)
def test_percentages_that_make_no_sense_are_refused(percentages):
    with pytest.raises(ValueError, match="Expected intervals as percentages"):
        data_intervals([0, 1], percentages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "at least 1. Received: 0 and 4"),
        ({"batch_size": 0}, "at least 1. Received: 3 and 0"),
        ({"interval_of": "epochs"}, r"one of \('data', 'steps'\). Received: 'epochs'"),
    ],
)
def test_other_arguments_that_make_no_sense_are_refused(options, message):
    options = {"epochs": 3, "batch_size": 4, "seed": 0} | options
    with pytest.raises(ValueError, match=message):
        interval_epochs([0, 1], [50, 100], **options)


def test_intervals_without_a_step_are_refused():
    with pytest.raises(
        ValueError, match="at least one step in every interval.*2 steps"
    ):
        training_intervals.interval_epochs(
            np.arange(10) % 2,
            (25, 40),
            interval_of="steps",
            epochs=2,
            batch_size=10,
            seed=0,
        )


def test_total_steps_are_those_of_the_whole_training():
    batches = training_intervals.interval_epochs(
        np.arange(25) % 2, (100,), interval_of="steps", epochs=3, batch_size=10, seed=0
    )
    total = training_intervals.total_steps(25, epochs=3, batch_size=10)
    assert total == sum(map(len, batches[0])) == 6
    # Fewer examples than a batch are one batch.
    assert training_intervals.total_steps(7, epochs=3, batch_size=10) == 3
