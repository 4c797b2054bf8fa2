"""Whether the rows of trained networks can be those of their study.

Checksums tell what was damaged; these checks tell what was never right, as in a folder
that somebody made up. All of them look at one batch of rows at a time.
"""

import functools
import pathlib
import tokenize

import numpy as np
import pandas as pd

from keras_confusion.confusion import network_files
from keras_confusion.confusion.answers import LABEL_COLUMNS
from keras_confusion.confusion.settings import network_seed
from keras_confusion.errors import StudyFolderError
from keras_confusion.stats.discriminability import num_class_pairs

# Of `test_labels.npy`, and so of the labels of a network.
MAX_TEST_EXAMPLES = 10**8
# Rows whose labels are put together at a time.
_ROWS_AT_A_TIME = 512
# Bits, above the logarithm of 1.
_ROUNDING = 1e-3
_LATEST_SECONDS = 1e12
# Of as many images as there can be it is less than 9.
_MAX_D_PRIME = 10.0


def read_labels(file: pathlib.Path) -> np.ndarray:
    """Reads true labels from a `.npy` file, without believing what its header says.

    Args:
        file: Its path.

    Returns:
        Integer array `(num_test,)`.

    Raises:
        ValueError: If it is not an array of so many integers as fit into the file; the
            message is the reason alone.
        OSError: If it cannot be read.
    """
    with open(file, "rb") as opened:
        shape, dtype = _npy_header(opened)
        num_bytes = file.stat().st_size - opened.tell()
        if (
            len(shape) != 1
            or dtype.kind not in "iu"
            or not 0 < shape[0] <= MAX_TEST_EXAMPLES
            or shape[0] * dtype.itemsize != num_bytes
        ):
            raise ValueError(
                f"its header promises shape {shape!s:.80} of {dtype!s:.80}, and "
                f"{num_bytes} bytes follow"
            )
        return np.fromfile(opened, dtype, shape[0])


def _npy_header(opened) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(opened)
    if version != (1, 0):
        raise ValueError(f"a .npy file of version {version}")
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
    # Headers are Python, which is parsed and not run.
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise ValueError("a header that cannot be parsed") from error
    return shape, dtype


def check_networks(
    networks: pd.DataFrame,
    description: dict,
    *,
    test_labels: np.ndarray,
    source: pathlib.Path,
) -> None:
    """Checks rows of trained networks: lengths, ranges, pairs.

    Args:
        networks: With the columns of `network_files.SCHEMA`, or some of them.
        description: What `study.json` says, see `StudyFolder`.
        test_labels: int array `(num_test,)`.
        source: Where the rows are from, for messages.

    Raises:
        StudyFolderError: If a row cannot be one of this study; the message names it.
    """
    num_classes = len(description["class_names"])
    pairs = description["settings"]["pairs"]
    num_test = len(test_labels)
    if test_labels.min() < 0 or test_labels.max() >= num_classes:
        raise StudyFolderError(
            f"Expected test labels below {num_classes} in {source}. Received: "
            f"{test_labels.min()} to {test_labels.max()}. Use the study's own labels."
        )
    rows = _Rows(networks, source)
    if {"class_a", "class_b"} <= set(networks.columns):
        rows.check_arms({(int(a), int(b)) for a, b in pairs})
    for name in ("repeat", "seed"):
        rows.check_numbers(name, 0, 2**63 - 1)
    for name in ("attempt", "epochs", "seconds"):
        rows.check_numbers(name, 0, _LATEST_SECONDS, optional=True)
    is_stranger = ~belong(networks, description)
    if is_stranger.any():
        rows.refuse(is_stranger, "seed, recipe, epochs or study", "of another study")
    if "failed" not in networks.columns:
        return
    if networks["failed"].isna().any():
        rows.refuse(networks["failed"].isna().to_numpy(bool), "failed", "missing")
    finished = rows.finished()
    finished.check_times()
    for name in LABEL_COLUMNS:
        finished.check_lists(name, num_test, 0, num_classes - 1, whole=True)
    finished.check_lists("log2_probability", num_classes, -np.inf, _ROUNDING)
    finished.check_without_pair(num_classes, len(pairs))
    finished.check_added(num_classes, len(pairs))


def belong(networks: pd.DataFrame, description: dict) -> np.ndarray:
    """Which rows are networks of the study, bool `(len(networks),)`.

    A row says which study it was trained for. One from before that is the study's if
    its seed, recipe and epochs are those of the study's plan.

    Args:
        networks: With the columns of `network_files.SCHEMA`, or some of them.
        description: What `study.json` says, see `StudyFolder`.
    """
    settings, name = description["settings"], description.get("digest")
    result = np.ones(len(networks), bool)
    has_name = np.zeros(len(networks), bool)
    if name is not None and "study" in networks.columns:
        has_name = networks["study"].notna().to_numpy(bool)
        result = ~has_name | (networks["study"] == name).to_numpy(bool)
    if has_name.all() or not {"repeat", "seed", "attempt"} <= set(networks.columns):
        return result
    for column in ("recipe", "epochs"):
        if column in networks.columns and settings.get(column) is not None:
            is_other = networks[column].notna() & (networks[column] != settings[column])
            result &= has_name | ~is_other.to_numpy(bool)
    if settings.get("seed") is None:
        return result

    @functools.cache
    def planned(repeat: int, pair, attempt: int) -> int:
        return network_seed(
            settings["seed"], settings.get("shared_seeds", True), repeat, pair, attempt
        )

    keys = ("class_a", "class_b", "repeat", "seed", "attempt")
    for place, (a, b, repeat, seed, attempt) in enumerate(
        zip(*(networks[key] for key in keys), strict=True)
    ):
        if not has_name[place]:
            pair = None if pd.isna(a) else (int(a), int(b))
            attempt = 0 if pd.isna(attempt) else int(attempt)
            result[place] &= planned(int(repeat), pair, attempt) == seed
    return result


class _Rows:
    """Rows, and how they are refused."""

    def __init__(self, networks: pd.DataFrame, source):
        self._networks, self._source = networks, source

    def finished(self) -> "_Rows":
        """Those that have results."""
        failed = self._networks["failed"].astype(bool)
        return _Rows(self._networks[~failed], self._source)

    def refuse(self, is_wrong: np.ndarray, name: str, what: str) -> None:
        """Raises an error about the first row that is wrong."""
        row = self._networks.iloc[int(np.flatnonzero(is_wrong)[0])]
        arm, repeat = (row.get(key, "?") for key in ("arm", "repeat"))
        raise StudyFolderError(
            f"Expected networks of the study in {self._source}. Received: `{name}` of "
            f"arm {ascii(str(arm))[:40]}, repeat {ascii(str(repeat))[:20]}, which is "
            f"{what}. Delete that network's file and run the study again."
        )

    def check_arms(self, pairs: set[tuple[int, int]]) -> None:
        """Refuses classes that are no pair of the study, or not those of the arm."""
        columns = (self._networks[name].to_list() for name in ("class_a", "class_b"))
        row_pairs = list(zip(*columns, strict=True))
        is_baseline = [pd.isna(a) and pd.isna(b) for a, b in row_pairs]
        is_known = np.array(
            [
                baseline or not (pd.isna(a) or pd.isna(b)) and (a, b) in pairs
                for baseline, (a, b) in zip(is_baseline, row_pairs, strict=True)
            ],
            bool,
        )
        if not is_known.all():
            self.refuse(~is_known, "class_a and class_b", "no pair of the study")
        if "arm" not in self._networks.columns:
            return
        names = [
            network_files.arm_name(None if baseline else (a, b))
            for baseline, (a, b) in zip(is_baseline, row_pairs, strict=True)
        ]
        is_other = self._networks["arm"].to_numpy(object) != np.array(names, object)
        if is_other.any():
            self.refuse(is_other, "arm", "not that of its classes")

    def check_numbers(
        self, name: str, low: float, high: float, *, optional: bool = False
    ) -> None:
        """Refuses numbers out of a range, and missing ones unless they are optional."""
        if name not in self._networks.columns or self._networks.empty:
            return
        column = pd.to_numeric(self._networks[name])
        values = column.to_numpy(np.float64, na_value=np.nan)
        # False for NaN, too.
        is_wrong = ~((values >= low) & (values <= high))
        if optional:
            is_wrong &= column.notna().to_numpy(bool)
        if is_wrong.any():
            self.refuse(is_wrong, name, f"not {low:g} to {high:g}")

    def check_times(self) -> None:
        """Refuses networks without the time at which they were finished."""
        if "finished_at" in self._networks.columns:
            is_missing = self._networks["finished_at"].isna().to_numpy(bool)
            if is_missing.any():
                self.refuse(is_missing, "finished_at", "missing")

    def check_without_pair(self, num_classes: int, num_pairs: int) -> None:
        """Refuses `log2_probability_without_pair` of a wrong length or sign."""
        if "class_a" not in self._networks.columns:
            return
        is_baseline = self._networks["class_a"].isna().to_numpy(bool)
        lengths = num_classes * np.where(is_baseline, num_pairs, 1)
        self.check_lists("log2_probability_without_pair", lengths, -np.inf, _ROUNDING)

    def check_added(self, num_classes: int, num_pairs: int) -> None:
        """Refuses wrong lists in columns that older rows, or some models, have not."""
        if "class_a" not in self._networks.columns:
            return
        is_baseline = self._networks["class_a"].isna().to_numpy(bool)
        pair_lengths = num_classes * np.where(is_baseline, num_pairs, 1)
        d_prime_lengths = np.full(len(is_baseline), num_class_pairs(num_classes))
        if num_classes > network_files.MAX_MATRIX_CLASSES:
            d_prime_lengths[~is_baseline] = num_classes
        for name, lengths, low, high in (
            ("probability", num_classes, 0, 1 + _ROUNDING),
            ("probability_without_pair", pair_lengths, 0, 1 + _ROUNDING),
            ("discriminability", d_prime_lengths, -_MAX_D_PRIME, _MAX_D_PRIME),
            ("features_discriminability", d_prime_lengths, -_MAX_D_PRIME, _MAX_D_PRIME),
            ("readout_discriminability", pair_lengths, -_MAX_D_PRIME, _MAX_D_PRIME),
        ):
            if name not in self._networks.columns:
                continue
            is_there = self._networks[name].notna().to_numpy(bool)
            some = _Rows(self._networks[is_there], self._source)
            lengths = np.broadcast_to(lengths, len(is_there))[is_there]
            some.check_lists(name, lengths, low, high)

    def check_lists(
        self, name: str, length, low: float, high: float, *, whole: bool = False
    ) -> None:
        """Refuses lists of another length, or with numbers out of a range but NaN.

        Args:
            name: The column.
            length: Of every row, or of all.
            low: Smallest number.
            high: Largest number.
            whole: Whether only whole numbers are right.
        """
        if name not in self._networks.columns or self._networks.empty:
            return
        lists = self._networks[name].to_list()
        found = np.array([-1 if one is None else np.size(one) for one in lists])
        is_wrong = found != length
        if is_wrong.any():
            self.refuse(is_wrong, name, "of another length")
        for start in range(0, len(lists), _ROWS_AT_A_TIME):
            part = lists[start : start + _ROWS_AT_A_TIME]
            values = np.concatenate(part)
            if whole and values.dtype.kind not in "iu":
                is_outside = np.array([one.dtype.kind not in "iu" for one in part])
                row = int(np.flatnonzero(is_outside)[0])
            else:
                with np.errstate(invalid="ignore"):
                    is_outside = (values < low) | (values > high)
                if not is_outside.any():
                    continue
                ends = np.cumsum([len(one) for one in part])
                first = np.flatnonzero(is_outside)[0]
                row = int(np.searchsorted(ends, first, side="right"))
            is_wrong[start + row] = True
            self.refuse(is_wrong, name, f"not {low:g} to {high:g}")
