"""Generated reviews of films, books, meals and hotels, and what must come out of them.

A text data set that needs no download: sentences are put together from word lists by a
seed. Its eight classes are four topics, praised or panned. What is known beforehand:

Films and books are judged with the same words, meals and hotels each with words of
their own. In training, films and books come with two thirds of these words each: the
last third of a test is judged with words that were said of the other topic only. So
mistraining "film praised" against "film panned" must cost the books, "book praised"
against "book panned" the films, and neither must cost meals or hotels anything.

Films and books differ by nouns only, which are the same in praise and in panning. So
mistraining a praised film against a praised book costs panned films and books a little,
and panned ones the praised ones.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_confusion.datasets.readers import DatasetContents

TOPICS = ("film", "book", "meal", "hotel")
SENTIMENTS = ("praised", "panned")
CLASS_NAMES = tuple(
    f"{topic} {sentiment}" for topic in TOPICS for sentiment in SENTIMENTS
)
# Words of a review that a network sees; longer reviews are cut, shorter ones padded.
LENGTH = 16
PADDING, UNKNOWN = 0, 1
_NUM_TRAIN, _NUM_TEST = 80, 200
_TRAIN_SEED, _TEST_SEED = 0, 1

_STORY_PRAISED = (
    "absorbing accomplished affecting assured believable brilliant candid captivating "
    "clever compelling daring deft eloquent enthralling evocative fearless gripping "
    "haunting humane imaginative incisive inventive luminous lyrical masterly "
    "memorable moving nuanced observant original perceptive playful poetic poignant "
    "profound radiant rewarding suspenseful tender thrilling timeless touching "
    "truthful unforgettable vivid wise witty wondrous"
)
_STORY_PANNED = (
    "aimless banal bloated boring corny clumsy confused contrived derivative "
    "disjointed dreary drawn-out dull feeble flat forgettable formulaic hackneyed "
    "hollow humourless implausible incoherent laboured lifeless mawkish meandering "
    "monotonous muddled overwrought plodding pointless ponderous predictable "
    "pretentious rambling repetitive sentimental shallow sloppy stilted sluggish "
    "tedious tiresome trite turgid uninspired unconvincing wooden"
)
_MEAL_PRAISED = (
    "appetising aromatic buttery creamy crisp crunchy delicate delicious flavoursome "
    "fluffy fragrant fresh homemade juicy luscious mellow moist mouthwatering "
    "nourishing piquant refreshing rich ripe savoury scrumptious seasoned silky smoky "
    "succulent tangy tasty velvety warming zesty"
)
_MEAL_PANNED = (
    "acrid bitter bland burnt charred chewy congealed curdled doughy floury gloopy "
    "greasy gristly gritty insipid lukewarm lumpy mushy oily overcooked oversalted "
    "rancid raw reheated rubbery soggy sour spoiled stale stodgy stringy tasteless "
    "undercooked watery"
)
_HOTEL_PRAISED = (
    "airy accessible attentive bright central charming cheerful clean comfortable "
    "convenient cosy efficient elegant equipped friendly furnished gracious helpful "
    "hospitable immaculate inviting modern peaceful plush polished quiet relaxing "
    "restful roomy secluded spacious spotless sunny welcoming"
)
_HOTEL_PANNED = (
    "broken cold cracked cramped creaky damaged damp dark dilapidated dingy dirty "
    "draughty dusty filthy gloomy grubby leaking rickety mouldy musty neglected "
    "noisy overbooked peeling rude rundown shabby smelly squalid stained stuffy torn "
    "unheated unsafe"
)
_STORY = (_STORY_PRAISED.split(), _STORY_PANNED.split())
_JUDGEMENTS = {
    "film": _STORY,
    "book": _STORY,
    "meal": (_MEAL_PRAISED.split(), _MEAL_PANNED.split()),
    "hotel": (_HOTEL_PRAISED.split(), _HOTEL_PANNED.split()),
}
_NOUNS = {
    "film": ("film", "movie", "screenplay", "camerawork"),
    "book": ("book", "novel", "prose", "paperback"),
    "meal": ("meal", "dinner", "soup", "dessert"),
    "hotel": ("hotel", "room", "bathroom", "lobby"),
}
_JUDGING = (
    "the {noun} was {word}",
    "the {noun} seemed {word} to us",
    "we found the {noun} {word}",
    "a {word} {noun}",
    "what a {word} {noun}",
    "i would call this {noun} {word}",
)
_DENYING = (
    "the {noun} was not {word}",
    "nobody could call the {noun} {word}",
    "we did not find the {noun} {word}",
)
_NEUTRAL = (
    "a friend had told us about this {noun}",
    "we chose this {noun} on a rainy sunday",
    "my sister came along for the {noun}",
    "more about the {noun} another day",
    "this was our second {noun} of the month",
    "we paid the usual price for the {noun}",
)


@dataclasses.dataclass(frozen=True)
class ReviewStyle:
    """How clear reviews are.

    Args:
        denied: Probability that a judgement is made by denying the opposite.
        contrary: Probability that a review says the opposite of what its class is.
        misspelt: Probability that a word of the other sentence is misspelt.
    """

    denied: float = 0.05
    contrary: float = 0.05
    misspelt: float = 0.3


def write_reviews(
    num_per_class: int,
    seed,
    *,
    all_words: bool = True,
    style: ReviewStyle | None = None,
) -> tuple[list[str], np.ndarray]:
    """Writes reviews of all classes, in mixed order.

    Args:
        num_per_class: Reviews of each class, at least 1.
        seed: Integer or `np.random.SeedSequence` from which everything is drawn.
        all_words: Whether films and books are judged with all of their words, or each
            with two thirds, of which one is common to both.
        style: How clear they are; that of the data set if `None`.

    Returns:
        Reviews, lower-case words with spaces between them and a full stop after every
        sentence, and their labels, int64 `(8 * num_per_class,)`.

    Raises:
        ValueError: If there are no reviews to write.

    Example:
        >>> texts, labels = write_reviews(1, seed=0)
        >>> texts[0]
        'we chose this book on a rainy sunday. i would call this prose thrilling.'
    """
    if num_per_class < 1:
        raise ValueError(
            f"Expected `num_per_class` of at least 1. Received: {num_per_class}."
        )
    rng = np.random.default_rng(seed)
    style = style or ReviewStyle()
    labels = rng.permutation(np.repeat(np.arange(len(CLASS_NAMES)), num_per_class))
    # Words are dealt, not drawn: a class says each of them as often as any other.
    decks = {
        (label, says): _dealt_words(rng, _words(TOPICS[label // 2], says, all_words))
        for label in range(len(CLASS_NAMES))
        for says in range(len(SENTIMENTS))
    }
    texts = []
    for label in labels:
        says = int(label) % 2
        if rng.random() < style.contrary:
            says = 1 - says
        is_denied = rng.random() < style.denied
        word = next(decks[label, 1 - says if is_denied else says])
        texts.append(_review(rng, TOPICS[label // 2], word, is_denied, style))
    return texts, labels


def encode(texts) -> np.ndarray:
    """Turns reviews into tokens.

    Args:
        texts: n strings of words with spaces or full stops between them.

    Returns:
        int32 `(n, LENGTH)`: the places of the words in `vocabulary`, `UNKNOWN` for
        others; `PADDING` after the last word.
    """
    number_of = {word: number for number, word in enumerate(vocabulary())}
    tokens = np.full((len(texts), LENGTH), PADDING, np.int32)
    for row, text in zip(tokens, texts, strict=True):
        words = text.replace(".", " ").split()[:LENGTH]
        row[: len(words)] = [number_of.get(word, UNKNOWN) for word in words]
    return tokens


def vocabulary() -> tuple[str, ...]:
    """All words by token; the first two stand for padding and unknown words."""
    words = {"an"}
    for sentence in _JUDGING + _DENYING + _NEUTRAL:
        words.update(sentence.format(noun="", word="").split())
    for topic in TOPICS:
        words.update(_NOUNS[topic], *_JUDGEMENTS[topic])
    return ("", "?", *sorted(words))


def train_and_test_reviews():
    """The reviews of the data set, to be read.

    Returns:
        For training and test what `write_reviews` returns. Few are for training, so
        that every one counts.
    """
    return (
        write_reviews(_NUM_TRAIN, _TRAIN_SEED, all_words=False),
        write_reviews(_NUM_TEST, _TEST_SEED),
    )


def read_reviews(image_size=None) -> DatasetContents:
    """The data set "reviews".

    Args:
        image_size: Not used: `loading.load_dataset` refuses one with tokens.

    Returns:
        `DatasetContents` with tokens, int32 `(n, LENGTH)`.
    """
    (train, train_labels), (test, test_labels) = train_and_test_reviews()
    return DatasetContents(
        CLASS_NAMES, encode(train), train_labels, encode(test), test_labels
    )


def _review(rng, topic: str, word: str, is_denied: bool, style: ReviewStyle) -> str:
    """A judgement by the word, and a sentence that judges nothing, in any order."""
    judgement = _draw(rng, _DENYING if is_denied else _JUDGING).format(
        noun=_draw(rng, _NOUNS[topic]), word=word
    )
    neutral = _draw(rng, _NEUTRAL).format(noun=topic)
    if rng.random() < style.misspelt:
        neutral = _misspelt(rng, neutral)
    sentences = [neutral, judgement][:: rng.choice([-1, 1])]
    return " ".join(f"{_with_article(sentence)}." for sentence in sentences)


def _words(topic: str, sentiment: int, all_words: bool) -> list[str]:
    """Words of judgement; without the last third for films, the first for books."""
    words = _JUDGEMENTS[topic][sentiment]
    third = len(words) // 3
    if all_words or topic not in ("film", "book"):
        return words
    return words[:-third] if topic == "film" else words[third:]


def _dealt_words(rng, words: list[str]) -> Iterator[str]:
    """All words in an order of their own, again and again."""
    while True:
        yield from rng.permutation(words).tolist()


def _draw(rng, choices):
    return choices[rng.integers(len(choices))]


def _misspelt(rng, sentence: str) -> str:
    """With one of its longer words, the last, short of a letter."""
    words = sentence.split()
    left_out = rng.integers(1, len(words[-1]))
    words[-1] = words[-1][:left_out] + words[-1][left_out + 1 :]
    return " ".join(words)


def _with_article(sentence: str) -> str:
    """With "an" in place of "a" before a vowel."""
    words = sentence.split()
    for number, following in enumerate(words[1:]):
        if words[number] == "a" and following[0] in "aeiou":
            words[number] = "an"
    return " ".join(words)
