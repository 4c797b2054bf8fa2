import pytest

from keras_confusion.datasets import class_pairs


def test_pairs_by_name_label_and_with_hyphens():
    names = ["cat", "t-rex", "dog", "0"]
    resolve = class_pairs.resolve_pairs
    assert resolve("all", names[:3]) == ((0, 1), (0, 2), (1, 2))
    assert resolve(["dog-cat", "t-rex-dog"], names) == ((0, 2), (1, 2))
    assert resolve([(2, 1)], names) == ((1, 2),)
    # A class that is named "0" wins over label 0.
    assert resolve(["0-cat"], names) == ((0, 3),)


def test_all_pairs_of_four_classes_are_six():
    pairs = class_pairs.resolve_pairs("all", ["a", "b", "c", "d"])
    assert class_pairs.has_all_pairs(pairs, 4)
    assert not class_pairs.has_all_pairs(pairs[1:], 4)


def test_pair_that_can_be_read_in_two_ways_is_refused():
    with pytest.raises(ValueError, match="'a' and 'b-c' or 'a-b' and 'c'"):
        class_pairs.resolve_pairs(["a-b-c"], ["a", "b-c", "a-b", "c"])
