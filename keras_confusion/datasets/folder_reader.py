"""Reader of folders with one folder of images per class."""

import collections
import functools
import pathlib
import threading
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_confusion.datasets import image_files
from keras_confusion.datasets.readers import (
    DEFAULT_IMAGE_SIZE,
    DatasetContents,
    ImageStream,
    resize_images,
    stratified_test_mask,
)

_TEST_FRACTION = 1 / 5
_ORDER_SEED = 0
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
_MOST_NAMED = 5


class _Listing(NamedTuple):
    """Class names, paths `[n]` and labels `[n]` of images, and what was passed by."""

    class_names: tuple[str, ...]
    paths: np.ndarray
    labels: np.ndarray
    num_nested: int
    skipped: collections.Counter[str]


def read_folder(folder, image_size):
    """Read a folder with one folder of images per class.

    Args:
        folder: `pathlib.Path` that holds a folder for training and one for the test,
            each with one folder per class, or the class folders themselves. They may
            be called train or training, and test, testing, val, valid or validation,
            in any case; without labelled test images those for validation are the test
            set. Images in folders in a class folder belong to the class.
        image_size: `(h, w)` to which images are resized; None for (32, 32).

    Returns:
        `DatasetContents` whose images are read on demand, uint8 with three channels.

    Raises:
        ValueError: If class folders are missing, empty or differ between the splits, or
            files cannot be read, all of which are named.
    """
    image_size = image_size or DEFAULT_IMAGE_SIZE
    splits = _split_folders(folder)
    notes = []
    if splits is None:
        _check_no_splits_below(folder)
        train = _list_images(_class_folders(folder), at_least=2)
        is_test = stratified_test_mask(train.labels, _TEST_FRACTION)
        train_paths, train_labels = train.paths[~is_test], train.labels[~is_test]
        test_paths, test_labels = train.paths[is_test], train.labels[is_test]
        listings, places = [train], [folder]
    else:
        test_folder, told = _choose_test_folder(splits)
        notes += told
        train = _list_images(_class_folders(splits["train"]))
        test = _list_images(_same_classes(splits["train"], test_folder))
        train_paths, train_labels = train.paths, train.labels
        test_paths, test_labels = test.paths, test.labels
        listings, places = [train, test], [splits["train"], test_folder]
    files = _Files([*train_paths, *test_paths])
    notes += _notes(places, listings, files)
    # Not class by class: a stream is shuffled within a buffer only.
    order = np.random.default_rng(_ORDER_SEED).permutation(len(train_labels))
    train_paths, train_labels = train_paths[order], train_labels[order]
    return DatasetContents(
        train.class_names,
        files.stream(train_paths, image_size),
        train_labels,
        files.stream(test_paths, image_size),
        test_labels,
        tuple(notes),
    )


class _Files:
    """The image files of a data set, which are looked at together.

    Args:
        paths: Of all of them, bytes `[n]`.

    Raises:
        ValueError: If files cannot be read, all of which are named.
    """

    def __init__(self, paths: Sequence[bytes]):
        self._paths = paths
        looks = image_files.look_at(paths)
        self.bits = image_files.bits_of(looks)
        self.grey_top = max((look.grey_top or 0 for look in looks), default=0)
        self._is_read_as_before = all(
            look.is_read_as_before and (look.grey_top is None or self._uses_all_bits)
            for look in looks
        )
        self._lock = threading.Lock()

    @property
    def _uses_all_bits(self) -> bool:
        return self.bits == image_files.MAX_BITS

    def stream(self, paths, image_size) -> ImageStream:
        """Images of some of the files, resized."""

        def open_file(path):
            # Through Python, where the decoder is.
            image = tf.numpy_function(self._decode, [path], tf.uint8, stateful=False)
            image = resize_images(tf.ensure_shape(image, (None, None, 3)), image_size)
            return tf.ensure_shape(image, (*image_size, 3))

        def read(some_paths):
            return tf.data.Dataset.from_tensor_slices(some_paths).map(
                open_file, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
            )

        def sample(number):
            chosen = np.random.default_rng(0).permutation(len(paths))[:number]
            return read([paths[index] for index in np.sort(chosen)])

        return ImageStream(
            (*image_size, 3),
            np.uint8,
            lambda: read(paths),
            sample,
            self._is_read_as_before,
        )

    def _decode(self, path: bytes) -> np.ndarray:
        try:
            return image_files.decode(path, self.bits)
        except ValueError as error:
            # Whoever mends one file wants to know the others, too.
            with self._lock:
                reasons = {**self._damaged, path: str(error)}
        raise ValueError(image_files.refusal(reasons))

    @functools.cached_property
    def _damaged(self) -> dict[bytes, str]:
        return image_files.damaged(self._paths, self.bits)


def _split_folders(folder: pathlib.Path) -> dict[str, pathlib.Path] | None:
    """Folders of a split by what they are for; `None` if there are classes only."""
    found: dict[str, pathlib.Path] = {}
    for child in _folders_in(folder):
        part = _SPLIT_NAMES.get(child.name.casefold())
        if part in found:
            raise ValueError(
                f"Expected one folder for {part} in {folder}. Received: "
                f"{found[part].name} and {child.name}. Use one of them."
            )
        if part is not None:
            found[part] = child
    if "train" in found and len(found) > 1:
        return found
    # A class may be called "train": alone, it is a split only if it holds folders.
    alone = [child.name for child in found.values() if _folders_in(child)]
    if alone:
        raise ValueError(
            "Expected both a train and a test folder, or class folders only. "
            f"Received: {folder} with {' and '.join(alone)} alone. "
            f"Use {folder}/train/<class>/* and {folder}/test/<class>/*, or "
            f"{folder / alone[0]} as the data set, of which a fixed fifth is the test "
            "set."
        )
    return None


def _check_no_splits_below(folder: pathlib.Path) -> None:
    """Raises `ValueError` where an archive was unpacked into a folder of its own."""
    for child in _folders_in(folder):
        if _split_folders(child) is not None:
            raise ValueError(
                f"Expected class folders in {folder}. Received: {child} with folders "
                f"for training and test. Use {child} as the data set."
            )


def _choose_test_folder(
    splits: dict[str, pathlib.Path],
) -> tuple[pathlib.Path, list[str]]:
    """The folder of the test images, and what is to be told of the choice."""
    train = splits["train"]
    candidates = [splits[part] for part in ("test", "validation") if part in splits]
    names = set(_class_folders(train))
    # Images of a competition's test set come without labels.
    labelled = [
        folder
        for folder in candidates
        if names & {_normal(child.name) for child in _folders_in(folder)}
    ]
    if not labelled:
        raise ValueError(
            f"Expected the class folders of {train} in "
            f"{' or '.join(map(str, candidates))}. Received: none of them. Use one "
            f"folder per class in both, or {train} as the data set, of which a fixed "
            "fifth is the test set."
        )
    chosen = labelled[0]
    return chosen, [
        f"{chosen} is the test set; {other} is left out"
        + ("." if other in labelled else ", as it has no class folders.")
        for other in candidates
        if other != chosen
    ]


def _same_classes(
    train: pathlib.Path, test: pathlib.Path
) -> dict[str, tuple[str, pathlib.Path]]:
    """The class folders of the test, in the order and by the names of the training."""
    wanted, found = _class_folders(train), _class_folders(test)
    different = wanted.keys() ^ found.keys()
    if different:
        named = [name for name, _ in (wanted | found).values()]
        raise ValueError(
            f"Expected the same class folders in {train} and {test}. Received: "
            f"{', '.join(sorted(n for n in named if _normal(n) in different))} in one "
            "of them only. Use one folder per class in both."
        )
    return {key: (name, found[key][1]) for key, (name, _) in wanted.items()}


def _folders_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        child
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    )


def _normal(name: str) -> str:
    """A name in the one form that its letters have: file systems differ in it."""
    return unicodedata.normalize("NFC", name)


def _class_folders(folder: pathlib.Path) -> dict[str, tuple[str, pathlib.Path]]:
    """Names and paths of the class folders, by `_normal` names."""
    found: dict[str, tuple[str, pathlib.Path]] = {}
    for child in _folders_in(folder):
        if _normal(child.name) in found:
            raise ValueError(
                f"Expected class folders in {folder} of different names. Received: "
                f"{child.name!a} and {found[_normal(child.name)][0]!a}, which are the "
                "same letters. Use one of the two."
            )
        found[_normal(child.name)] = child.name, child
    if not found:
        raise ValueError(
            "Expected one folder of images per class. "
            f"Received: {folder} without folders. Use {folder}/<class>/*."
        )
    return found


def _list_images(
    class_folders: dict[str, tuple[str, pathlib.Path]], at_least: int = 1
) -> _Listing:
    found = [
        image_files.find_images(class_folder)
        for _, class_folder in class_folders.values()
    ]
    for (_, class_folder), images in zip(class_folders.values(), found, strict=True):
        if len(images.paths) < at_least:
            others = f" and {_counts(images.skipped)}" if images.skipped else ""
            raise ValueError(
                f"Expected at least {at_least} image(s) in every class folder. "
                f"Received: {len(images.paths)}{others} in {class_folder}. "
                f"Use files that end in {', '.join(image_files.SUFFIXES)}, "
                "or remove the folder."
            )
    return _Listing(
        class_names=tuple(name for name, _ in class_folders.values()),
        paths=np.array([path for images in found for path in images.paths]),
        labels=np.repeat(np.arange(len(found)), [len(i.paths) for i in found]),
        num_nested=sum(images.num_nested for images in found),
        skipped=sum((i.skipped for i in found), start=collections.Counter()),
    )


def _counts(skipped: collections.Counter[str]) -> str:
    named = [f"{number} {suffix}" for suffix, number in skipped.most_common()]
    rest = skipped.total() - sum(n for _, n in skipped.most_common(_MOST_NAMED))
    more = [f"{rest} others"] if rest else []
    return ", ".join(named[:_MOST_NAMED] + more)


def _notes(
    places: Sequence[pathlib.Path], listings: Sequence[_Listing], files: _Files
) -> list[str]:
    """What is to be told of folders of class folders that were read."""
    notes = []
    for place in places:
        outside = [p for p in place.iterdir() if image_files.is_image_name(p.name)]
        if outside:
            notes.append(
                f"{len(outside)} images in {place} were skipped, as they are in no "
                "class folder."
            )
    num_nested = sum(listing.num_nested for listing in listings)
    if num_nested:
        notes.append(
            f"{num_nested} images in folders in a class folder belong to the class."
        )
    skipped = sum((i.skipped for i in listings), start=collections.Counter())
    if skipped:
        notes.append(
            f"{skipped.total()} files were skipped ({_counts(skipped)}): images end in "
            f"{', '.join(image_files.SUFFIXES)}."
        )
    if files.bits < image_files.MAX_BITS:
        notes.append(
            f"Grey images of 16 bits hold 0 to {files.grey_top}: they were read as "
            f"images of {files.bits} bits, 0 to {2**files.bits - 1}."
        )
    return notes
