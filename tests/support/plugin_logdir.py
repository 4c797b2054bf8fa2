"""Small logdirs for the tests of the TensorBoard plugin: made up, but consistent.

Means and n of a comparison are those of the networks that were written, as the plugin
has to find them again; the statistics of the test are real, the bits nearly so.
"""

import dataclasses
import io
import itertools
import json
import pathlib
import time

import numpy as np
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2

from keras_confusion.reports.tensorboard.event_writer import RunWriter
from keras_confusion.stats import t_tests
from tb_plugin import metadata

# What a stranger's event files may call their classes.
HOSTILE_NAMES = [
    "<img src=x onerror=alert(1)>",
    "../../etc/passwd",
    '=HYPERLINK("http://x.invalid")',
    "naïve \u202egnp.猫",
    "w" * 200,
]
REASONS = ["", "the target is in the pair", "fewer than 2 networks in a group"]
# Of every class. Accuracies are shares of them.
TEST_IMAGES = 1000
NO_IMAGES = np.iinfo(np.uint16).max
_POINTS = 100.0


@dataclasses.dataclass
class ConfusionRun:
    """A confusion study's run and what was written to it.

    Args:
        directory: The folder of the run, `metadata.TRAINING_RUN` of the study.
        study: What TAG_STUDY says, before it was a text.
        networks: float64 (n, 5 + 2 K): a row of TAG_NETWORKS, accuracies, and those
            without the pair.
        block: Networks a point; None as version 1 wrote them, see TAG_NETWORK.
        baseline_without_pair: {step: float32 (P, K)}.
        by_class: float64 (2, K, K, columns), or None.
        by_pair: float64 (2, P, K, columns).
        level_shifts: float64 (P, K).
        writer: Still open if asked for; networks that are added show at once.
    """

    directory: pathlib.Path
    study: dict
    networks: np.ndarray
    baseline_without_pair: dict[int, np.ndarray]
    by_class: np.ndarray | None
    by_pair: np.ndarray
    level_shifts: np.ndarray
    writer: RunWriter
    block: int | None = 1

    def add_network(self, pair: int, *, failed: bool = False) -> np.ndarray:
        """Appends one network, like the last one but of another pair; its row."""
        row = self.networks[-1].copy()
        row[:5] = pair, 99, failed, row[3] + 2.0, 2.0
        if failed:
            row[5:] = np.nan
        self.networks = np.vstack([self.networks, row])
        write_networks(self.writer, row[None], len(self.networks), self.block)
        self.writer.flush()
        return row


@dataclasses.dataclass
class PrototypeRun:
    """A prototype study's run and what was written to it.

    Args:
        directory: The folder of the run, `metadata.PROTOTYPES_RUN` of the study.
        study: What TAG_STUDY says, before it was a text.
        measures: float64 (intervals, initialisations, measures).
        trends: float64 (intervals, trends).
        cells: float32 (intervals, initialisations, K, K, 4).
        c: float32 or float16 (intervals, initialisations, K, K, K); r: the same.
        images: {(interval, initialisation): PNG files}.
        frames: The same; empty without frames.
    """

    directory: pathlib.Path
    study: dict
    measures: np.ndarray
    trends: np.ndarray
    cells: np.ndarray
    c: np.ndarray
    r: np.ndarray
    images: dict[tuple[int, int], list[bytes]]
    frames: dict[tuple[int, int], list[bytes]]


def write_confusion_run(
    directory,
    class_names,
    *,
    pairs=None,
    num_baseline=6,
    num_repeats=4,
    num_planned=None,
    class_order=None,
    tables=True,
    has_failed=True,
    close=True,
    block=1,
    seed=0,
    settings=None,
    test="welch",
) -> ConfusionRun:
    """Writes a confusion study's event file: every arm, all comparisons.

    Args:
        directory: The study's folder.
        class_names: K names, K >= 3. Class 0 is what the others learn from.
        pairs: Lists [a, b]; all of them unless given. Without all there is no
            comparison of classes.
        num_baseline: Networks that confuse nothing.
        num_repeats: Networks per pair.
        num_planned: Of the whole study; what is written unless given.
        class_order: Labels, or None where they were not clustered.
        tables: Whether the comparisons were made already.
        has_failed: Whether one network more, the last of the last arm, failed.
        close: Whether the writer is closed. Close it yourself if not.
        block: Networks a point; None as version 1 wrote them.
        seed: Of the numbers.
        settings: More of what the study was asked for.
        test: Which it says it is told by; the numbers are Welch's.
    """
    rng = np.random.default_rng(seed)
    num_classes = len(class_names)
    all_pairs = [list(p) for p in itertools.combinations(range(num_classes), 2)]
    pairs = all_pairs if pairs is None else [list(pair) for pair in pairs]
    networks, without_pair = _networks(
        rng, num_classes, pairs, num_baseline, num_repeats, has_failed
    )
    study = {
        "kind": metadata.KIND_CONFUSION,
        "class_names": list(class_names),
        "pairs": pairs,
        "num_planned": num_planned or len(networks),
        "columns": list(metadata.CELL_COLUMNS),
        "reasons": REASONS,
        "has_all_pairs": pairs == all_pairs,
        "test": test,
        "settings": {
            "dataset": "made up",
            "epochs": 3,
            "seed": seed,
            **(settings or {}),
        },
    }
    shifts = _level_shifts(without_pair, pairs, num_classes)
    by_pair = _by_pair(networks, without_pair, pairs, num_classes)
    by_class = None
    if study["has_all_pairs"]:
        by_class = _by_class(networks, shifts, pairs, num_classes)

    run_directory = pathlib.Path(directory) / metadata.TRAINING_RUN
    writer = RunWriter(run_directory)
    writer.text(metadata.TAG_STUDY, json.dumps(study), 0)
    writer.tensor(metadata.TAG_TEST_IMAGES, np.full(num_classes, TEST_IMAGES), 0)
    for first in range(0, len(networks), block or 1):
        rows = networks[first : first + (block or 1)]
        write_networks(writer, rows, first + len(rows), block)
    for step, pair_accuracies in without_pair.items():
        writer.tensor(metadata.TAG_BASELINE_WITHOUT_PAIR, pair_accuracies, step)
    if tables:
        writer.tensor(metadata.TAG_BY_PAIR, by_pair, len(networks))
        writer.tensor(metadata.TAG_LEVEL_SHIFTS, shifts, len(networks))
        if by_class is not None:
            writer.tensor(metadata.TAG_BY_CLASS, by_class, len(networks))
        if class_order is not None:
            order = np.asarray(class_order, np.int64)
            writer.tensor(metadata.TAG_CLASS_ORDER, order, len(networks))
    writer.flush()
    if close:
        writer.close()
    return ConfusionRun(
        run_directory,
        study,
        networks,
        without_pair,
        by_class,
        by_pair,
        shifts,
        writer,
        block,
    )


def write_networks(writer, rows, last: int, block: int | None) -> None:
    """Writes rows of `ConfusionRun.networks` as one block, the last of this number."""
    if block is None:
        writer.tensor(metadata.TAG_NETWORK, rows[0], last)
        return
    counts = np.where(np.isnan(rows[:, 5:]), NO_IMAGES, rows[:, 5:] * TEST_IMAGES)
    counts = np.rint(counts).astype(np.uint16)
    writer.tensor(metadata.TAG_CORRECT, counts, last)
    writer.tensor(metadata.TAG_NETWORKS, rows[:, :5], last)


def write_prototype_run(
    directory,
    class_names,
    *,
    num_intervals=3,
    num_initialisations=2,
    num_frames=3,
    image_shape=(8, 6, 3),
    image_scale=1.0,
    num_finished=None,
    seed=0,
    network="",
    settings=None,
) -> PrototypeRun:
    """Writes a prototype study's event file.

    Args:
        directory: The study's folder.
        class_names: K names, K >= 2.
        num_intervals: Of the training.
        num_initialisations: Of the images.
        num_frames: On the way to a prototype; 0 for none.
        image_shape: Height, width, channels (1 or 3).
        image_scale: At most 1; below, the rows are written in full size as well.
        num_finished: Parts (interval, initialisation), in order; all unless given.
        seed: Of the numbers.
        network: Which one it is of; "" for unknown.
        settings: More of what the study was asked for.
    """
    rng = np.random.default_rng(seed)
    n, parts = len(class_names), (num_intervals, num_initialisations)
    height, width, channels = image_shape
    trend_names = ["interval", "test_accuracy", "n_initialisations"]
    for name in metadata.PROTOTYPE_MEASURES:
        trend_names += [name, f"{name}_sd", f"{name}_n"]
    study = {
        "kind": metadata.KIND_PROTOTYPES,
        "class_names": list(class_names),
        "intervals": np.linspace(0, 100, num_intervals + 1)[1:].round(2).tolist(),
        "num_initialisations": num_initialisations,
        "image_shape": list(image_shape),
        "num_frames": num_frames if n <= metadata.MAX_FULL_CLASSES else 0,
        "image_scale": image_scale,
        "measures": list(metadata.PROTOTYPE_MEASURES),
        "trends": trend_names,
        "network": network,
        "settings": {"dataset": "made up", "seed": seed, **(settings or {})},
    }
    num_finished = np.prod(parts) if num_finished is None else num_finished
    finished = (np.arange(np.prod(parts)) < num_finished).reshape(parts)
    measures = rng.random((*parts, len(study["measures"])))
    measures[~finished] = np.nan
    small = np.float32 if n <= metadata.MAX_FULL_CLASSES else np.float16
    c, r = (rng.random((*parts, n, n, n)).astype(small) for _ in range(2))
    for k in range(n):
        c[:, :, k, :, k] = 0
        r[:, :, :, k, k] = 0
    cells = np.empty((*parts, n, n, len(metadata.IMAGE_COLUMNS)), np.float32)
    cells[..., 0] = rng.random((*parts, n, n)) * 0.1
    cells[..., 1] = rng.integers(1, 200, (*parts, n, n))
    cells[..., 2] = 1
    cells[..., 3] = np.arange(n)[:, None]
    # One image that found nothing, and was taken for nothing.
    cells[:, :, 0, 1] = np.nan, 500, 0, -1

    run = PrototypeRun(
        directory=pathlib.Path(directory) / metadata.PROTOTYPES_RUN,
        study=study,
        measures=measures,
        trends=_trends(measures, study["intervals"], finished),
        cells=cells,
        c=c,
        r=r,
        images={},
        frames={},
    )
    writer = RunWriter(run.directory)
    writer.text(metadata.TAG_STUDY, json.dumps(study), 0)
    cell = [max(1, round(side * image_scale)) for side in (height, width)]
    for interval, init in np.argwhere(finished).tolist():
        images = [_png(rng, n * cell[0], n * cell[1], channels)]
        if image_scale < 1:
            images += [_png(rng, height, n * width, channels) for _ in range(n)]
        run.images[interval, init] = images
        writer.tensor(f"{metadata.PREFIX_CELLS}{init}", cells[interval, init], interval)
        writer.tensor(f"{metadata.PREFIX_C}{init}", c[interval, init], interval)
        writer.tensor(f"{metadata.PREFIX_R}{init}", r[interval, init], interval)
        writer.blobs(f"{metadata.PREFIX_IMAGES}{init}", images, interval)
        if study["num_frames"]:
            size = n * height, num_frames * width, channels
            frames = [_png(rng, *size) for _ in range(n)]
            run.frames[interval, init] = frames
            writer.blobs(f"{metadata.PREFIX_FRAMES}{init}", frames, interval)
        if init + 1 == num_initialisations or not finished[interval, init + 1]:
            writer.tensor(metadata.TAG_MEASURES, measures[interval], interval)
            writer.tensor(metadata.TAG_TRENDS, run.trends[interval], interval)
    writer.close()
    return run


def write_run_without_value(directory) -> None:
    """Writes a run with a tag that was announced and never given a value.

    TensorBoard's Python loader then refuses to list the plugin's tags of any run.
    """
    writer = RunWriter(pathlib.Path(directory))
    about = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=metadata.plugin_content()
        ),
        data_class=summary_pb2.DATA_CLASS_TENSOR,
    )
    value = summary_pb2.Summary.Value(tag=metadata.TAG_STUDY, metadata=about)
    event = event_pb2.Event(summary=summary_pb2.Summary(value=[value]))
    writer._write(event)
    writer.close()


def _networks(rng, num_classes, pairs, num_baseline, num_repeats, has_failed):
    """Rows of `ConfusionRun.networks`, and TAG_BASELINE_WITHOUT_PAIR by step."""
    arms = [(-1, repeat) for repeat in range(num_baseline)]
    arms += list(itertools.product(range(len(pairs)), range(num_repeats)))
    level = rng.uniform(0.6, 0.9, num_classes)
    started = time.time() - 2.0 * len(arms)
    rows, without_pair = [], {}
    for step, (pair, repeat) in enumerate(arms, 1):
        accuracy = level + rng.normal(0, 0.01, num_classes)
        outside = np.full(num_classes, np.nan)
        if pair >= 0:
            members = pairs[pair]
            accuracy[members] *= 0.5
            # Not learning class 0 costs everybody else.
            accuracy -= 0.04 * (0 in members)
            outside = accuracy + 0.02
            outside[members] = np.nan
        else:
            pair_accuracies = np.empty((len(pairs), num_classes), np.float32)
            for index, members in enumerate(pairs):
                pair_accuracies[index] = accuracy + 0.01 + 0.005 * sum(members)
                pair_accuracies[index, members] = np.nan
            without_pair[step] = pair_accuracies
        head = pair, repeat, 0, started + 2.0 * step, 1.9
        shares = np.rint(np.array([*accuracy, *outside]) * TEST_IMAGES) / TEST_IMAGES
        rows.append([*head, *shares])
    if has_failed:
        finished_at = started + 2.0 * (len(arms) + 1)
        failed = len(pairs) - 1, num_repeats, 1, finished_at, 0.5
        rows.append([*failed, *np.full(2 * num_classes, np.nan)])
    return np.array(rows, np.float64), without_pair


def _level_shifts(without_pair, pairs, num_classes) -> np.ndarray:
    """The baseline's level without each pair, minus the common one. (P, K)."""
    level = np.mean(list(without_pair.values()), axis=0, dtype=np.float64)
    is_member = np.zeros((len(pairs), num_classes), bool)
    for index, members in enumerate(pairs):
        is_member[index, members] = True
    num_pairs = np.maximum((~is_member).sum(axis=0), 1)
    return level - np.where(is_member, 0, level).sum(axis=0) / num_pairs


def _by_pair(networks, without_pair, pairs, num_classes) -> np.ndarray:
    columns = len(metadata.CELL_COLUMNS)
    table = np.full((2, len(pairs), num_classes, columns), np.nan)
    works = networks[:, 2] == 0
    baseline = networks[works & (networks[:, 0] < 0)]
    pair_accuracies = np.stack(list(without_pair.values())).astype(np.float64)
    for index, members in enumerate(pairs):
        arm = networks[works & (networks[:, 0] == index)]
        for target in range(num_classes):
            table[0, index, target] = _cell(arm[:, 5 + target], baseline[:, 5 + target])
            table[1, index, target] = _cell(
                arm[:, 5 + num_classes + target], pair_accuracies[:, index, target]
            )
            if target in members:
                table[1, index, target, -1] = 1
    return _with_q_values(table)


def _by_class(networks, shifts, pairs, num_classes) -> np.ndarray:
    columns = len(metadata.CELL_COLUMNS)
    table = np.full((2, num_classes, num_classes, columns), np.nan)
    confused = networks[(networks[:, 2] == 0) & (networks[:, 0] >= 0)]
    members = np.array(pairs)[confused[:, 0].astype(int)]
    for target in range(num_classes):
        shift = shifts[confused[:, 0].astype(int), target]
        values = [
            confused[:, 5 + target],
            confused[:, 5 + num_classes + target] - shift,
        ]
        without_target = (members != target).all(axis=1)
        for other in set(range(num_classes)) - {target}:
            has_class = (members == other).any(axis=1)
            for response in range(2):
                table[response, target, other] = _cell(
                    values[response][without_target & has_class],
                    values[response][without_target & ~has_class],
                )
    return _with_q_values(table)


def _cell(confused, comparison) -> list[float]:
    """CELL_COLUMNS of two groups; `q_value` comes later."""
    record = t_tests.compare(confused, comparison)
    num_paired = min(len(confused), len(comparison))
    paired = t_tests.compare_paired(confused[:num_paired], comparison[:num_paired])
    p, q = (np.clip(m, 0, 1) for m in (record.mean_comparison, record.mean_confused))
    cell = {
        **{name: getattr(record, name, np.nan) for name in metadata.CELL_COLUMNS},
        "difference_points": record.difference * _POINTS,
        "ci_low_points": record.ci_low * _POINTS,
        "ci_high_points": record.ci_high * _POINTS,
        "kl_bits": (p - q) * 0.1,
        "kl_noise_floor_bits": 0.001,
        "entropy_bits": q - p,
        "mutual_information_bits": (p - q) * 0.2,
        "log_likelihood_bits": (p - q) * 0.3,
        "paired_n": num_paired,
        "paired_difference_points": paired.difference * _POINTS,
        "paired_ci_low_points": paired.ci_low * _POINTS,
        "paired_ci_high_points": paired.ci_high * _POINTS,
        "paired_t": paired.t,
        "paired_p_value": paired.p_value,
        "paired_correlation": paired.correlation,
        "reason": 2 if record.reason else 0,
    }
    return [float(cell[name]) for name in metadata.CELL_COLUMNS]


def _with_q_values(table: np.ndarray) -> np.ndarray:
    p = table[..., metadata.CELL_COLUMNS.index("p_value")]
    for response in range(2):
        q_values = t_tests.benjamini_hochberg(p[response])
        table[response, ..., metadata.CELL_COLUMNS.index("q_value")] = q_values
    return table


def _trends(measures, intervals, finished) -> np.ndarray:
    rows = []
    for interval, percent in enumerate(intervals):
        done = measures[interval][finished[interval]]
        row = [percent, 0.5 + percent / 250, len(done)]
        for column in range(measures.shape[2]):
            values = done[:, column]
            mean = values.mean() if len(values) else np.nan
            sd = values.std(ddof=1) if len(values) > 1 else np.nan
            row += [mean, sd, len(values)]
        rows.append(row)
    return np.array(rows)


def _png(rng, height: int, width: int, channels: int) -> bytes:
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "PNG")
    return file.getvalue()
