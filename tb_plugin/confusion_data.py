"""What a confusion study's run answers: matrices, cells and tables."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from tb_plugin import arrays, findings, group_bins, metadata, network_data, networks
from tb_plugin.findings import TARGET_BY_CLASS, TARGET_BY_PAIR
from tb_plugin.networks import Values
from tb_plugin.study_run import StudyRun
from tb_plugin.study_text import DataError, NotThereError

TABLES = {
    TARGET_BY_CLASS: metadata.TAG_BY_CLASS,
    TARGET_BY_PAIR: metadata.TAG_BY_PAIR,
}
MINUS_LOG10_Q = "minus_log10_q"
MATRIX_COLUMNS = (*metadata.CELL_COLUMNS, MINUS_LOG10_Q)
# A q-value of 0 is one that is too small for a float64.
_SMALLEST_Q = 1e-300
GROUPS = ("confused", "comparison")
NETWORKS_HEADER = (
    *("run", "response", "target_name", "row_name", "group", "pair", "repeat"),
    "value",
)
_COUNTS = ("n_confused", "n_comparison", "paired_n", "moderated_n")
_NOT_KEPT = "single networks are not kept of studies with so many pairs and classes"


def num_rows(study: dict, table: str) -> int:
    """Number of rows of a table: classes, or pairs."""
    return len(study["class_names" if table == TARGET_BY_CLASS else "pairs"])


def row_names(study: dict, table: str, row: int) -> tuple[str, ...]:
    """The class, or the two classes of the pair."""
    labels = [row] if table == TARGET_BY_CLASS else study["pairs"][row]
    return tuple(study["class_names"][label] for label in labels)


def pair_name(study: dict, pair: int) -> str:
    """Name of a network's pair, "baseline" of the baseline."""
    if pair == networks.BASELINE:
        return "baseline"
    return "-".join(row_names(study, TARGET_BY_PAIR, pair))


def comparison(run: StudyRun, table: str) -> tuple[int, np.ndarray] | None:
    """The newest comparison of a run.

    Args:
        run: Of a confusion study.
        table: One of `TABLES`.

    Returns:
        The number of networks that entered, and float64
        `(responses, rows, K, CELL_COLUMNS)`, where columns are targets; None where it
        was not made yet.

    Raises:
        DataError: If it makes no sense.
    """
    point = run.newest(TABLES[table])
    if point is None:
        return None
    study = run.study
    shape = (
        len(metadata.RESPONSES),
        num_rows(study, table),
        len(study["class_names"]),
        len(study["columns"]),
    )
    arrays.check_array(table, point.values, shape=shape, dtypes=("float64",))
    # Written as response, target, class.
    values = point.values.swapaxes(1, 2) if table == TARGET_BY_CLASS else point.values
    nothing = np.full((*values.shape[:-1], 1), np.nan)
    return point.step, np.concatenate(
        [
            values[..., [study["columns"].index(name)]]
            if name in study["columns"]
            else nothing
            for name in metadata.CELL_COLUMNS
        ],
        axis=-1,
    )


def matrix(values: np.ndarray, response: str, columns: list[str]) -> np.ndarray:
    """Columns of a comparison beside each other.

    Args:
        values: As of `comparison`.
        response: One of `metadata.RESPONSES`.
        columns: Of `MATRIX_COLUMNS`.

    Returns:
        float64 `(columns, rows, K)`.
    """
    cells = values[metadata.RESPONSES.index(response)]
    q_values = cells[..., metadata.CELL_COLUMNS.index("q_value")]
    with np.errstate(invalid="ignore"):
        minus_log10_q = -np.log10(np.clip(q_values, _SMALLEST_Q, 1))
    cells = np.concatenate([cells, minus_log10_q[..., None]], axis=-1)
    return np.moveaxis(cells[..., [MATRIX_COLUMNS.index(c) for c in columns]], -1, 0)


def statistics(values: np.ndarray) -> dict[str, float]:
    """The numbers of one cell by name, `(CELL_COLUMNS,)`, all but the reason."""
    cell = dict(zip(metadata.CELL_COLUMNS, values.tolist(), strict=True))
    del cell["reason"]
    for name in _COUNTS:
        if np.isfinite(cell[name]):
            cell[name] = round(cell[name])
    return cell


def reason(study: dict, values: np.ndarray) -> str:
    """Why a cell has no test, "" where it has one or is on the diagonal.

    Raises:
        DataError: If there is no such reason.
    """
    number = values[metadata.CELL_COLUMNS.index("reason")]
    if np.isnan(number):
        return ""
    if not arrays.is_whole(number, 0, len(study["reasons"]) - 1):
        raise DataError(f"The study has no reason number {number}.")
    return study["reasons"][int(number)] if number else ""


def cell(run: StudyRun, *, table: str, response: str, row: int, target: int) -> dict:
    """Everything about one cell, as `confusion/cell` answers.

    Raises:
        DataError: If the data make no sense.
        NotThereError: If the comparison was not made yet.
    """
    about, groups, networks_reason = _cell(run, table, response, row, target)
    labels = findings.group_labels(about)
    step = network_data.accuracy_step(run, target)
    return {
        "run": run.name,
        "table": table,
        "response": response,
        "row": row,
        "target": target,
        "row_name": "-".join(about.confused),
        "target_name": about.target,
        "test": about.test,
        "test_title": metadata.TEST_TITLES[about.test],
        "statistics": about.statistics,
        "reason": about.reason,
        "sentence": findings.sentence(about),
        "groups": [
            {
                "name": name,
                "label": label,
                **group_bins.summary(group.values, step),
                "networks": _list(run.study, group),
            }
            for name, label, group in zip(GROUPS, labels, groups, strict=True)
        ],
        "networks_reason": networks_reason,
    }


def networks_rows(
    run: StudyRun, *, table: str, response: str, row: int, target: int
) -> Iterator[list]:
    """Yields the networks of a cell, with `NETWORKS_HEADER`.

    Raises:
        DataError: If the data make no sense.
        NotThereError: If the comparison was not made yet.
    """
    about, groups, _ = _cell(run, table, response, row, target)
    head = [run.name, response, about.target, "-".join(about.confused)]
    names = [pair_name(run.study, pair) for pair in range(len(run.study["pairs"]))]
    # A name more, for the baseline.
    names.append(pair_name(run.study, networks.BASELINE))
    for name, group in zip(GROUPS, groups, strict=True):
        for value, pair, repeat in _known(group):
            yield [*head, name, names[pair], repeat, value]


def _cell(
    run: StudyRun, table: str, response: str, row: int, target: int
) -> tuple[findings.Cell, tuple[Values, Values], str]:
    """What a cell says, its two groups, and why there are none, if there are none."""
    study = run.study
    made = comparison(run, table)
    if made is None:
        raise NotThereError(f"{table} was not made yet.")
    step, values = made
    numbers = values[metadata.RESPONSES.index(response), row, target]
    about = findings.Cell(
        table=table,
        response=response,
        target=study["class_names"][target],
        confused=row_names(study, table, row),
        test=study["test"],
        statistics=statistics(numbers),
        reason=reason(study, numbers),
        partner=_partner(study, table, row, target),
    )
    return about, *_groups(run, step, about, row, target)


def _groups(
    run: StudyRun, step: int, about: findings.Cell, row: int, target: int
) -> tuple[tuple[Values, Values], str]:
    """The values of both groups, and why there are none, where there are none.

    Only networks that entered the comparison, which was made at `step`.
    """
    study = run.study
    all_networks = networks.up_to(network_data.read_networks(run), step)
    none = Values(*(np.empty(0, dtype) for dtype in (float, int, int)))
    if not len(all_networks.steps):
        return (none, none), "the run has no single networks"
    without_pair = about.response == "accuracy_without_pair"
    shape = len(study["pairs"]), len(study["class_names"])

    def read(without_pair):
        return network_data.read_accuracies(
            run, all_networks, target=target, without_pair=without_pair
        )

    if about.table == TARGET_BY_CLASS:
        values = read(without_pair)
        if without_pair:
            point = run.newest(metadata.TAG_LEVEL_SHIFTS)
            if point is None:
                return (none, none), "the levels of the pairs were not kept"
            if point.step != step:
                return (none, none), "the comparison is just being made again"
            shifts = arrays.check_array(
                "the levels", point.values, shape=shape, dtypes=("float64",)
            )[:, target]
            # A row more, for the baseline.
            network_shifts = np.append(shifts, np.nan)[all_networks.pair]
            values = values - network_shifts
        groups = networks.class_groups(
            all_networks, values, pairs=study["pairs"], row=row, target=target
        )
        return groups, ""
    if not without_pair:
        values = read(without_pair)
        return networks.pair_groups(all_networks, values, values, row=row), ""
    if target in study["pairs"][row]:
        return (none, none), about.reason or "the target is in the pair"
    points = run.points(metadata.TAG_BASELINE_WITHOUT_PAIR)
    if not points:
        return (none, none), _NOT_KEPT
    baseline = networks.baseline_without_pair(
        all_networks, points, shape=shape, row=row, target=target
    )
    values = read(without_pair)
    return networks.pair_groups(all_networks, values, baseline, row=row), ""


def _partner(study: dict, table: str, row: int, target: int) -> str | None:
    """Name of the other class of the pair where the target is in the pair."""
    if table == TARGET_BY_CLASS or target not in study["pairs"][row]:
        return None
    (other,) = set(study["pairs"][row]) - {target}
    return study["class_names"][other]


def _list(study: dict, group: Values) -> list[dict]:
    """The networks of a group; none of a group that is sent in bins."""
    if len(group.values) > group_bins.MAX_DOTS:
        return []
    return [
        {"value": value, "pair": pair_name(study, pair), "repeat": repeat}
        for value, pair, repeat in _known(group)
    ]


def _known(group: Values) -> Iterator[tuple[float, int, int]]:
    rows = zip(*(values.tolist() for values in vars(group).values()), strict=True)
    return (row for row in rows if math.isfinite(row[0]))


def csv_header(table: str) -> list[str]:
    """Names of the columns of `csv_rows`."""
    row = ["class", "class_name"]
    if table == TARGET_BY_PAIR:
        row = ["pair", "class_a", "class_b", "class_a_name", "class_b_name"]
    cells = [name for name in metadata.CELL_COLUMNS if name != "reason"]
    head = ["run", "response", "target", "target_name", *row]
    return [*head, "test", *cells, "reason"]


def csv_rows(
    run_name: str, study: dict, table: str, values: np.ndarray
) -> Iterator[list]:
    """Yields one row per response and cell, the diagonal left out.

    Raises:
        DataError: If the data make no sense.
    """
    names = study["class_names"]
    rows, targets = range(values.shape[1]), range(values.shape[2])
    for index, response in enumerate(metadata.RESPONSES):
        for row, target in itertools.product(rows, targets):
            head: list = [run_name, response, target, names[target], row]
            if table == TARGET_BY_CLASS:
                if row == target:
                    continue
                head.append(names[row])
            else:
                head += [*study["pairs"][row], *row_names(study, table, row)]
            numbers = values[index, row, target]
            cells = statistics(numbers).values()
            yield [*head, study["test"], *cells, reason(study, numbers)]
