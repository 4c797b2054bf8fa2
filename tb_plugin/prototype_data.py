"""What a prototype study's run answers: measures, matrices, pictures and tables."""

import itertools
from collections.abc import Iterator

import numpy as np

from tb_plugin import arrays, metadata
from tb_plugin.event_data import Point
from tb_plugin.study_run import StudyRun
from tb_plugin.study_text import DataError, NotThereError

MATRICES = {"c": metadata.PREFIX_C, "r": metadata.PREFIX_R}
TABLES = ("trends", "measures", "images")


def measures(run: StudyRun) -> list[np.ndarray | None]:
    """Float64 `(initialisations, measures)` per interval, None where it is not there.

    Raises:
        DataError: If they make no sense.
    """
    shape = run.study["num_initialisations"], len(run.study["measures"])
    return _by_interval(run, metadata.TAG_MEASURES, shape, ("float64",))


def trends(run: StudyRun) -> list[np.ndarray | None]:
    """Float64 `(trends,)` per interval, None where it is not there.

    Raises:
        DataError: If they make no sense.
    """
    shape = (len(run.study["trends"]),)
    return _by_interval(run, metadata.TAG_TRENDS, shape, ("float64",))


def overview(run: StudyRun) -> dict:
    """All measures of the training, as `prototypes/overview` answers.

    Raises:
        DataError: If they make no sense.
    """
    study = run.study
    return {
        "intervals": study["intervals"],
        "measures": [
            None if rows is None else dict(zip(study["measures"], rows.T, strict=True))
            for rows in measures(run)
        ],
        "trends": [
            None if row is None else dict(zip(study["trends"], row, strict=True))
            for row in trends(run)
        ],
    }


def progress(run: StudyRun) -> dict:
    """What is finished, in the words of `studies`.

    Raises:
        DataError: If the data make no sense.
    """
    num_initialisations = run.study["num_initialisations"]
    finished = [
        [False] * num_initialisations
        if rows is None
        else np.isfinite(rows).any(axis=1).tolist()
        for rows in measures(run)
    ]
    return {
        "num_done": sum(map(sum, finished)),
        "num_planned": len(finished) * num_initialisations,
        "finished": finished,
    }


def cells(run: StudyRun, interval: int, init: int) -> np.ndarray | None:
    """Float32 `(K, K, 4)`: target, origin, IMAGE_COLUMNS; None where it is not there.

    Raises:
        DataError: If they make no sense.
    """
    n = len(run.study["class_names"])
    point = _point(run, f"{metadata.PREFIX_CELLS}{init}", interval)
    if point is None:
        return None
    shape = n, n, len(metadata.IMAGE_COLUMNS)
    values = arrays.check_array(
        "the images", point.values, shape=shape, dtypes=("float32",)
    )
    predicted = values[..., metadata.IMAGE_COLUMNS.index("predicted")]
    if not arrays.is_whole(predicted, -1, n - 1):
        raise DataError("The labels of the images make no sense.")
    return values


def matrix(
    run: StudyRun, interval: int, init: int, *, name: str, index: int
) -> np.ndarray | None:
    """A slice of C or R; None where it is not there.

    Args:
        run: Of a prototype study.
        interval: Its number.
        init: Its number.
        name: One of `MATRICES`.
        index: The origin j of C[k, j, i], or the target k of R[k, j, i].

    Returns:
        `(K, K)`.

    Raises:
        DataError: If the data make no sense.
        NotThereError: If the prototypes are there without it.
    """
    n = len(run.study["class_names"])
    point = _point(run, f"{MATRICES[name]}{init}", interval)
    if point is None:
        if _point(run, f"{metadata.PREFIX_CELLS}{init}", interval) is not None:
            raise NotThereError(f"there is no {name.upper()} of these prototypes.")
        return None
    values = arrays.check_array(
        f"matrix {name}", point.values, shape=(n, n, n), dtypes=("float32", "float16")
    )
    return values[:, index] if name == "c" else values[index]


def image(run: StudyRun, interval: int, init: int, target: int | None) -> bytes | None:
    """The overview, or the full-size row of a target; None where it is not there.

    Raises:
        DataError: If it is no picture of that size.
        NotThereError: If there are no rows, as the overview is in full size.
    """
    study = run.study
    n, scale = len(study["class_names"]), study["image_scale"]
    height, width = study["image_shape"][:2]
    if target is not None and scale == 1:
        raise NotThereError("rows: the overview is in full size.")
    rows, columns = 1, n
    if target is None:
        rows, columns = n, n
        height, width = (max(1, round(side * scale)) for side in (height, width))
    tag = f"{metadata.PREFIX_IMAGES}{init}"
    content = run.file(tag, interval, 0 if target is None else 1 + target)
    if content is not None:
        _check_grid(content, rows, columns, height, width, slack=int(target is None))
    return content


def frames(run: StudyRun, interval: int, init: int, target: int) -> bytes | None:
    """Origins as rows, frames as columns; None where it is not there.

    Raises:
        DataError: If it is no picture of that size.
        NotThereError: If the study kept none.
    """
    study = run.study
    if not study["num_frames"]:
        raise NotThereError("the study kept no frames.")
    content = run.file(f"{metadata.PREFIX_FRAMES}{init}", interval, target)
    if content is not None:
        height, width = study["image_shape"][:2]
        rows, columns = len(study["class_names"]), study["num_frames"]
        _check_grid(content, rows, columns, height, width, slack=0)
    return content


def csv_header(run: StudyRun, table: str) -> list[str]:
    """Names of the columns of `csv_rows`."""
    study = run.study
    if table == "trends":
        return ["run", *study["trends"]]
    if table == "measures":
        return ["run", "interval", "initialisation", *study["measures"]]
    axes = ["target", "origin", "target_name", "origin_name"]
    image_columns = [*metadata.IMAGE_COLUMNS, "predicted_name"]
    return ["run", "interval", "initialisation", *axes, *image_columns]


def csv_rows(run: StudyRun, table: str) -> Iterator[list]:
    """Yields one row per interval, per initialisation, or per image.

    Raises:
        DataError: If the data make no sense.
    """
    study = run.study
    intervals = study["intervals"]
    if table == "trends":
        for row in trends(run):
            if row is not None:
                yield [run.name, *row.tolist()]
    elif table == "measures":
        for interval, rows in zip(intervals, measures(run), strict=True):
            for init, row in enumerate([] if rows is None else rows.tolist()):
                if np.isfinite(row).any():
                    yield [run.name, interval, init, *row]
    else:
        inits = range(study["num_initialisations"])
        for interval, init in itertools.product(range(len(intervals)), inits):
            values = cells(run, interval, init)
            if values is not None:
                head = [run.name, intervals[interval], init]
                yield from _image_rows(head, study["class_names"], values)


def _image_rows(head: list, names: list[str], values: np.ndarray) -> Iterator[list]:
    labels = range(len(names))
    for target, origin in itertools.product(labels, labels):
        loss, iterations, converged, predicted = values[target, origin].tolist()
        label = int(predicted)
        yield [
            *head,
            *(target, origin, names[target], names[origin]),
            *(loss, iterations, converged),
            *(label, names[label] if label >= 0 else ""),
        ]


def _point(run: StudyRun, tag: str, interval: int) -> Point | None:
    return next((point for point in run.points(tag) if point.step == interval), None)


def _by_interval(run: StudyRun, tag: str, shape, dtypes) -> list[np.ndarray | None]:
    values: list[np.ndarray | None] = [None] * len(run.study["intervals"])
    for point in run.points(tag):
        if not 0 <= point.step < len(values):
            raise DataError(f"The study has no interval number {point.step}.")
        values[point.step] = arrays.check_array(
            tag, point.values, shape=shape, dtypes=dtypes
        )
    return values


def _check_grid(
    content: bytes, rows: int, columns: int, height: int, width: int, *, slack: int
) -> None:
    """Checks the size of a grid of images, whose sides may differ by `slack` pixels."""
    found_width, found_height = arrays.png_size(content)
    for found, number, side in (
        (found_width, columns, width),
        (found_height, rows, height),
    ):
        # The size of a small image was rounded from that of a large one.
        if found % number or abs(found // number - side) > slack:
            raise DataError(
                f"Expected a picture of {columns} x {rows} images of {width} x "
                f"{height} pixels. Received: {found_width} x {found_height} pixels."
            )
