import collections
import itertools

import numpy as np
import pytest

from keras_confusion.comparisons import responses, target_by_pair
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.datasets import class_pairs, reviews
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.storage.study_folder import StudyFolder

SENTIMENT_PAIRS = [f"{topic} praised-{topic} panned" for topic in reviews.TOPICS]
TOPIC_OF = dict(enumerate(name.split()[0] for name in reviews.CLASS_NAMES))


def words_of(texts, labels, label):
    """How often each word is in the reviews of a class."""
    return collections.Counter(
        word
        for text, text_label in zip(texts, labels, strict=True)
        if text_label == label
        for word in text.replace(".", "").split()
    )


@pytest.fixture(scope="module")
def clear():
    """Many reviews that neither deny nor misspell."""
    style = reviews.ReviewStyle(denied=0, contrary=0, misspelt=0)
    return reviews.write_reviews(1000, seed=5, style=style)


def test_films_and_books_share_their_judgements_and_others_share_none(clear):
    judging = {
        label: set(words_of(*clear, label))
        & set(itertools.chain(*itertools.chain(*reviews._JUDGEMENTS.values())))
        for label in TOPIC_OF
    }
    for one, two in itertools.combinations(TOPIC_OF, 2):
        topics = {TOPIC_OF[one], TOPIC_OF[two]}
        same_sentiment = one % 2 == two % 2
        if topics == {"film", "book"} and same_sentiment:
            assert judging[one] == judging[two]
        else:
            assert not judging[one] & judging[two]


def test_every_judging_word_is_in_one_list():
    lists = {
        id(words): words for pair in reviews._JUDGEMENTS.values() for words in pair
    }
    counts = collections.Counter(itertools.chain(*lists.values()))
    assert len(lists) == 6
    assert max(counts.values()) == 1


def test_nouns_tell_the_topic(clear):
    for label, topic in TOPIC_OF.items():
        words = words_of(*clear, label)
        for other in reviews.TOPICS:
            for noun in reviews._NOUNS[other]:
                assert (words[noun] > 0) == (other == topic)


@pytest.mark.parametrize(("denied", "contrary"), [(0, 0), (0.3, 0), (0, 0.3)])
def test_noise_has_the_rate_that_was_asked_for(denied, contrary):
    style = reviews.ReviewStyle(denied=denied, contrary=contrary)
    texts, labels = reviews.write_reviews(1000, seed=1, style=style)
    for label, topic in TOPIC_OF.items():
        words = words_of(texts, labels, label)
        own, other = (
            sum(words[word] for word in reviews._JUDGEMENTS[topic][sentiment])
            for sentiment in (label % 2, 1 - label % 2)
        )
        # Every review judges once. The word is one of the other sentiment where it is
        # denied or the review contradicts its class.
        assert own + other == 1000
        # Three standard errors.
        assert other / 1000 == pytest.approx(denied + contrary, abs=0.045)
        assert (words["not"] + words["nobody"] == other) == (contrary == 0)
        assert (words["not"] + words["nobody"] == 0) == (denied == 0)


def test_words_are_dealt_evenly(clear):
    for label, topic in TOPIC_OF.items():
        counts = words_of(*clear, label)
        word_counts = [counts[word] for word in reviews._JUDGEMENTS[topic][label % 2]]
        assert max(word_counts) - min(word_counts) <= 1


def test_films_and_books_train_with_two_thirds_of_their_words():
    style = reviews.ReviewStyle(denied=0, contrary=0)
    written = reviews.write_reviews(200, seed=6, all_words=False, style=style)
    for sentiment in range(2):
        everything = set(reviews._STORY[sentiment])
        film, book = (
            set(words_of(*written, 2 * topic + sentiment)) & everything
            for topic in range(2)
        )
        assert film | book == everything
        assert 3 * len(film) == 3 * len(book) == 2 * len(everything)
        assert 3 * len(film & book) == len(everything)
    for label in range(4, 8):
        counts = words_of(*written, label)
        words = reviews._JUDGEMENTS[TOPIC_OF[label]][label % 2]
        assert all(counts[word] for word in words)


def test_misspelt_words_are_unknown():
    spelt, misspelt = (
        reviews.write_reviews(200, 2, style=reviews.ReviewStyle(misspelt=rate))[0]
        for rate in (0, 1)
    )
    assert not (reviews.encode(spelt) == reviews.UNKNOWN).any()
    unknown = (reviews.encode(misspelt) == reviews.UNKNOWN).sum(axis=1)
    np.testing.assert_array_equal(unknown, 1)


def test_tokens_are_places_in_the_vocabulary():
    words = reviews.vocabulary()
    assert len(set(words)) == len(words)
    texts, _ = reviews.write_reviews(20, seed=3, style=reviews.ReviewStyle(misspelt=0))
    for text, tokens in zip(texts, reviews.encode(texts), strict=True):
        read = [words[token] for token in tokens if token != reviews.PADDING]
        assert read == text.replace(".", "").split()
        # Nothing after the first padding.
        assert (np.diff((tokens == reviews.PADDING).astype(int)) >= 0).all()
    np.testing.assert_array_equal(
        reviews.encode(["film gripping. qwerty " + "the " * 40])[0][:5],
        [
            words.index("film"),
            words.index("gripping"),
            reviews.UNKNOWN,
            words.index("the"),
            words.index("the"),
        ],
    )


def test_reviews_are_a_function_of_the_seed():
    once, again, other = (reviews.write_reviews(9, seed=seed) for seed in (1, 1, 2))
    assert once[0] == again[0]
    np.testing.assert_array_equal(once[1], again[1])
    assert once[0] != other[0]
    # Sentences begin with an article that fits.
    assert any(" an " in f" {text}" for text in once[0])
    assert not any(f" a {vowel}" in f" {text}" for text in once[0] for vowel in "aeiou")


def test_no_reviews_are_refused():
    with pytest.raises(ValueError, match=r"`num_per_class` of at least 1.*: 0"):
        reviews.write_reviews(0, seed=0)


def test_the_data_set_is_balanced_and_its_splits_differ():
    found = dataset_loading.load_dataset("reviews")
    assert found.class_names == reviews.CLASS_NAMES
    assert found.input_shape == (reviews.LENGTH,)
    assert found.vocabulary_size == len(reviews.vocabulary())
    for split in (found.train, found.test):
        assert len(set(np.bincount(split.labels).tolist())) == 1
    train, test = (
        {row.tobytes() for row in split.images} for split in (found.train, found.test)
    )
    assert len(train & test) < 0.05 * len(test)


@pytest.mark.slow
def test_a_study_finds_the_planted_relations_and_no_others(tmp_path):
    """Books learn praised from panned with films, films with books, and none else."""
    confusion_study.run_confusion_study(
        tmp_path,
        dataset="reviews",
        model="text",
        pairs=SENTIMENT_PAIRS,
        repeats=8,
        baseline_repeats=16,
        epochs=30,
        batch_size=16,
        learning_rate=0.005,
        workers=1,
    )
    study = responses.study_responses(
        confusion_store.read_networks(tmp_path),
        confusion_store.read_test_labels(StudyFolder.open(tmp_path)),
        num_classes=8,
        pairs=[(0, 1), (2, 3), (4, 5), (6, 7)],
    )
    table = target_by_pair.target_by_pair(study, reviews.CLASS_NAMES)
    third = table[
        (table["response"] == "accuracy_without_pair") & (table["family"] == "third")
    ]
    topics = np.stack([third["class_a"] // 2, third["target"] // 2], axis=1)
    planted = (np.sort(topics, axis=1) == (0, 1)).all(axis=1)
    assert (planted.sum(), len(planted)) == (4, 24)
    assert (third["difference_points"][planted] < -5).all()
    np.testing.assert_array_equal(third["q_value"] < 0.05, planted)
    others = third["difference_points"][~planted]
    assert np.abs(others).max() < 4
    assert abs(others.mean()) < 1


def test_pairs_are_found_by_names_with_spaces():
    assert class_pairs.resolve_pairs(SENTIMENT_PAIRS, reviews.CLASS_NAMES) == (
        (0, 1),
        (2, 3),
        (4, 5),
        (6, 7),
    )


def test_prototypes_of_texts_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"data set of images.*reviews, of token seq"):
        prototype_study.run_prototype_study(
            tmp_path / "study", dataset="reviews", model="text"
        )
    assert not (tmp_path / "study").exists()
