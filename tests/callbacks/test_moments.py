import pytest

from keras_confusion.callbacks import moments


def test_every_so_many_epochs_and_after_the_last():
    due = moments.after_epochs(2, 5)
    assert due.percentages == [40, 80, 100]
    assert [due.due(epoch) for epoch in range(1, 6)] == [None, 0, None, 1, 2]
    assert moments.after_epochs(1, 3).percentages == [33.33, 66.67, 100]
    assert moments.after_epochs(9, 5).percentages == [100]


def test_a_training_that_begins_late_has_no_earlier_moments():
    due = moments.after_epochs(1, 4)
    assert [due.due(epoch) for epoch in (3, 3, 4)] == [2, None, 3]


def test_percentages_of_whole_epochs_are_epochs():
    due = moments.at_percentages((25, 50, 100), 8, None)
    assert not due.are_steps
    assert [due.due(epoch) for epoch in (1, 2, 4, 8)] == [None, 0, 1, 2]


def test_other_percentages_are_steps():
    due = moments.at_percentages((1, 25, 50, 100), 2, 10)
    assert due.are_steps
    found = [due.due(step) for step in range(1, 21)]
    assert {step + 1: moment for step, moment in enumerate(found) if moment} == {
        5: 1,
        10: 2,
        20: 3,
    }
    assert found[0] == 0


def test_several_moments_that_are_over_at_once_are_one():
    due = moments.at_percentages((10, 20, 100), 1, 10)
    assert [due.due(step) for step in (4, 8, 12)] == [1, None, 2]


def test_the_last_of_very_many_epochs_is_a_moment_of_its_own():
    due = moments.after_epochs(1001, 1_000_002)
    assert len(due.percentages) == len(set(due.percentages))
    assert due.percentages == sorted(due.percentages)
    assert due.due(1_000_002) == len(due.percentages) - 1


@pytest.mark.parametrize(
    ("every", "at", "message"),
    [
        (1, (100,), "one of `every` .* Received: every=1, at=.100,.. Leave"),
        (0, None, "at least 1. Received: 0"),
        (2.5, None, "a number of epochs, at least 1. Received: 2.5"),
        (None, (), "above 0 and up to 100, rising. Received: "),
        (None, (50, 25), "rising. Received: .50, 25.. Use for example"),
        (None, (0, 100), "above 0"),
        (None, (50, 110), "up to 100"),
    ],
)
def test_what_is_no_choice_is_refused(every, at, message):
    with pytest.raises(ValueError, match=message):
        moments.check(every, at)


def test_too_many_moments_are_refused_with_a_number_that_works():
    with pytest.raises(ValueError, match="2500 times in 2500 epochs. Use every=3."):
        moments.after_epochs(1, 2500)
    assert len(moments.after_epochs(3, 2500).percentages) <= moments.MOST_MOMENTS


def test_steps_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match=r"\(25, 100\) of 2 epochs. Use `every=`"):
        moments.at_percentages((25, 100), 2, None)
