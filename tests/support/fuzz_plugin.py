"""Targets of the TensorBoard plugin: requests, and event files that strangers wrote."""

import functools
import itertools
import json
import pathlib
import shutil
import tempfile
import urllib.parse

from hypothesis import strategies as st
from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
)
from tensorboard.summary.writer import record_writer

from tb_plugin import metadata, static_files
from tests.support import fuzzing, plugin_logdir
from tests.support.fuzzing import ACCEPTED, REFUSED, Target
from tests.support.plugin_site import PluginSite, check_answer

NAMES = ["a", fuzzing.SCRIPT, "c"]
CONFUSION_RUN = f"confusion/{metadata.TRAINING_RUN}"
PROTOTYPE_RUN = f"prototypes/{metadata.PROTOTYPES_RUN}"
ROUTES = {
    "studies": {},
    "confusion/matrix": {
        "run": CONFUSION_RUN,
        "table": "target_by_pair",
        "response": "accuracy",
        "columns": "t,q_value",
    },
    "confusion/cell": {
        "run": CONFUSION_RUN,
        "table": "target_by_pair",
        "response": "accuracy_without_pair",
        "row": "0",
        "target": "2",
    },
    "confusion/csv": {"run": CONFUSION_RUN, "table": "target_by_class"},
    "prototypes/overview": {"run": PROTOTYPE_RUN},
    "prototypes/cells": {"run": PROTOTYPE_RUN, "interval": "0", "init": "0"},
    "prototypes/matrix": {
        "run": PROTOTYPE_RUN,
        "interval": "0",
        "init": "0",
        "matrix": "c",
        "index": "1",
    },
    "prototypes/image": {"run": PROTOTYPE_RUN, "interval": "0", "init": "0"},
    "prototypes/frames": {
        "run": PROTOTYPE_RUN,
        "interval": "0",
        "init": "0",
        "target": "0",
    },
    "prototypes/csv": {"run": PROTOTYPE_RUN, "table": "images"},
}


@functools.cache
def good_logdir() -> pathlib.Path:
    """A log directory of one study of each kind; it goes with the process's files."""
    logdir = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-plugin-"))
    plugin_logdir.write_confusion_run(logdir / "confusion", NAMES, num_repeats=2)
    plugin_logdir.write_prototype_run(
        logdir / "prototypes", NAMES, num_intervals=2, image_scale=0.5
    )
    return logdir


@functools.cache
def good_site() -> PluginSite:
    """The plugin over `good_logdir`."""
    return PluginSite(good_logdir())


# --- Requests

_values = st.one_of(
    fuzzing.texts,
    fuzzing.numbers.map(str),
    st.sampled_from(
        [CONFUSION_RUN, PROTOTYPE_RUN, "0", "1", "2", "00", "1_0", "\u0663"]
    ),
)


@st.composite
def requests(draw):
    """A route, and its parameters: some changed, missing, repeated, or unknown."""
    route = draw(st.sampled_from(sorted(ROUTES)))
    pairs = list(ROUTES[route].items())
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["change", "drop", "repeat", "add", "stamp"]))
        place = draw(st.integers(0, max(len(pairs) - 1, 0)))
        if kind == "change" and pairs:
            pairs[place] = pairs[place][0], draw(_values)
        elif kind == "drop" and pairs:
            del pairs[place]
        elif kind == "repeat" and pairs:
            pairs.insert(place, (pairs[place][0], draw(_values)))
        elif kind == "stamp":
            pairs.append(("stamp", draw(_values)))
        else:
            pairs.append((draw(fuzzing.texts), draw(_values)))
    return route, pairs


def ask(request) -> str:
    """One request to a good study."""
    route, pairs = request
    query = "&".join(
        "=".join(
            # Half characters as the bytes that they would be.
            urllib.parse.quote(text.encode("utf-8", "surrogatepass"), safe="")
            for text in pair
        )
        for pair in pairs
    )
    return ACCEPTED if check_answer(good_site().get(route, query)) else REFUSED


_parts = st.one_of(
    st.sampled_from(
        [
            *("..", ".", "", "%2e%2e", "..%2f", "%252e%252e", "..\\", "~", "C:"),
            *(
                "index.js",
                "style.css",
                "vendor",
                "plugin.py",
                "static",
                "etc",
                "passwd",
            ),
            *("%00", "index.js%00.css", "index.js;", "index.js?x", "\u202eindex.js"),
        ]
    ),
    fuzzing.texts.map(
        lambda text: urllib.parse.quote(text.encode("utf-8", "surrogatepass"))
    ),
)


def ask_for_file(parts) -> str:
    """A path below `static/`: a file of the front end itself, or none."""
    files = _files()
    path = "/".join(parts).replace("VERSION", files.version)
    # As browsers send it, and no query.
    answer = good_site().get(f"static/{urllib.parse.quote(path, safe='/%')}")
    if not check_answer(answer):
        return REFUSED
    names = {file.content_type for file in files.files.values()}
    assert answer.mimetype in names
    assert answer.data in _contents()
    return ACCEPTED


@functools.cache
def _files() -> static_files.StaticFiles:
    return static_files.read_static_files()


@functools.cache
def _contents() -> frozenset[bytes]:
    import gzip

    return frozenset(gzip.decompress(file.gzipped) for file in _files().files.values())


# --- Event files

_tags = st.sampled_from(
    [
        *(metadata.TAG_STUDY, metadata.TAG_NETWORK, metadata.TAG_BASELINE_WITHOUT_PAIR),
        *(metadata.TAG_NETWORKS, metadata.TAG_CORRECT, metadata.TAG_TEST_IMAGES),
        *(metadata.TAG_BY_CLASS, metadata.TAG_BY_PAIR, metadata.TAG_LEVEL_SHIFTS),
        *(metadata.TAG_CLASS_ORDER, metadata.TAG_MEASURES, metadata.TAG_TRENDS),
        f"{metadata.PREFIX_CELLS}0",
        f"{metadata.PREFIX_C}0",
        f"{metadata.PREFIX_R}0",
        f"{metadata.PREFIX_IMAGES}0",
        f"{metadata.PREFIX_FRAMES}0",
        f"plugin/{fuzzing.SCRIPT}",
    ]
)
_dtypes = st.sampled_from([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 14, 17, 19, 20, 23, 101, 999])
_sizes = st.sampled_from([0, 1, 2, 3, 5, 11, 1000, 10**9, 2**40, 2**62, -1])
_steps = st.sampled_from([0, 1, 2, 99, -1, 2**31, 2**62, -(2**62)])
_contents_of_metadata = st.one_of(
    st.just(metadata.plugin_content()),
    st.sampled_from(
        [b"", b"{", b'{"version": 9}', b'{"version": null}', b'{"version": 1e999}']
    ),
    fuzzing.json_values.map(fuzzing.json_bytes),
    st.binary(max_size=20),
)


@st.composite
def tensors(draw):
    """A tensor whose parts need not fit together."""
    tensor = tensor_pb2.TensorProto(
        dtype=draw(_dtypes),
        tensor_shape=tensor_shape_pb2.TensorShapeProto(
            dim=[
                tensor_shape_pb2.TensorShapeProto.Dim(size=size)
                for size in draw(st.lists(_sizes, max_size=4))
            ]
        ),
    )
    kind = draw(st.sampled_from(["content", "double", "string", "float", "int64"]))
    if kind == "content":
        tensor.tensor_content = draw(st.binary(max_size=64))
    elif kind == "string":
        tensor.string_val.extend(draw(st.lists(st.binary(max_size=40), max_size=3)))
    elif kind == "int64":
        tensor.int64_val.extend(
            draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
        )
    else:
        values = draw(st.lists(st.floats(width=32), max_size=5))
        getattr(tensor, f"{kind}_val").extend(values)
    return tensor


@st.composite
def changed_tensors(draw, valid: tensor_pb2.TensorProto):
    """A tensor of a good study with other contents, shape or type."""
    tensor = tensor_pb2.TensorProto()
    tensor.CopyFrom(valid)
    kind = draw(st.sampled_from(["shape", "type", "content", "numbers"]))
    if kind == "shape" and tensor.tensor_shape.dim:
        place = draw(st.integers(0, len(tensor.tensor_shape.dim) - 1))
        tensor.tensor_shape.dim[place].size = draw(_sizes)
    elif kind == "type":
        tensor.dtype = draw(_dtypes)
    elif tensor.string_val:
        text = draw(
            st.one_of(
                fuzzing.byte_mutations(tensor.string_val[0]),
                fuzzing.json_values.map(fuzzing.json_bytes),
            )
        )
        if tensor.string_val[0].startswith(b"{"):
            study = json.loads(tensor.string_val[0])
            text = draw(
                st.one_of(st.just(text), fuzzing.mutated(study).map(fuzzing.json_bytes))
            )
        tensor.string_val[0] = text
    elif tensor.tensor_content:
        tensor.tensor_content = draw(fuzzing.byte_mutations(tensor.tensor_content))
    return tensor


@functools.cache
def good_events(run: str) -> tuple[bytes, ...]:
    """The events of a good study, as protos."""
    from tensorboard.backend.event_processing import event_file_loader

    (file,) = (good_logdir() / run).iterdir()
    loader = event_file_loader.RawEventFileLoader(str(file))
    return tuple(loader.Load())


@st.composite
def event_lists(draw):
    """The events of a good study: some are others, and some are more."""
    run = draw(st.sampled_from([CONFUSION_RUN, PROTOTYPE_RUN]))
    events = []
    for event in map(event_pb2.Event.FromString, good_events(run)):
        events.append(event)
    with_values = [event for event in events if event.summary.value]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["change", "metadata", "step", "drop", "add"]))
        event = draw(st.sampled_from(with_values))
        value = event.summary.value[0]
        if kind == "change":
            value.tensor.CopyFrom(draw(changed_tensors(value.tensor)))
        elif kind == "metadata":
            # Only the first of a tag counts.
            first = next(e for e in with_values if e.summary.value[0].tag == value.tag)
            about = first.summary.value[0].metadata
            about.plugin_data.content = draw(_contents_of_metadata)
            about.data_class = draw(st.sampled_from([0, 1, 2, 3]))
        elif kind == "step":
            event.step = draw(_steps)
            event.wall_time = draw(
                st.sampled_from([0.0, -1.0, 1e300, float("nan"), float("inf")])
            )
        elif kind == "drop":
            value.ClearField("value")
        else:
            about = summary_pb2.SummaryMetadata(
                data_class=draw(st.sampled_from([0, 2, 3]))
            )
            about.plugin_data.plugin_name = metadata.PLUGIN_NAME
            about.plugin_data.content = draw(_contents_of_metadata)
            new = summary_pb2.Summary.Value(
                tag=draw(_tags), tensor=draw(tensors()), metadata=about
            )
            events.append(
                event_pb2.Event(
                    wall_time=2e9,
                    step=draw(_steps),
                    summary=summary_pb2.Summary(value=[new]),
                )
            )
    return [event.SerializeToString() for event in events]


def write_events(directory: pathlib.Path, events) -> pathlib.Path:
    """Writes an event file of events in bytes."""
    directory.mkdir(parents=True)
    path = directory / "events.out.tfevents.1.here"
    with open(path, "wb") as file:
        writer = record_writer.RecordWriter(file)
        for event in events:
            writer.write(event)
    return path


def all_requests(run: str):
    """Every route once, with parameters for a run."""
    for route, parameters in ROUTES.items():
        yield route, parameters | ({"run": run} if "run" in parameters else {})


def _read_logdir(fill) -> str:
    """Has the plugin answer everything about a log directory with one bad run."""
    with tempfile.TemporaryDirectory() as folder:
        logdir = pathlib.Path(folder)
        shutil.copytree(good_logdir() / "confusion", logdir / "good")
        fill(logdir / "bad")
        site = PluginSite(logdir)
        listed = site.get("studies")
        assert check_answer(listed)
        studies = {one["run"]: one for one in json.loads(listed.text)["studies"]}
        good = studies[f"good/{metadata.TRAINING_RUN}"]
        assert good["error"] is None
        assert metadata.PLUGIN_NAME in site.listing()
        answers = [
            check_answer(site.get(route, parameters))
            for route, parameters in all_requests("bad")
            if route != "studies"
        ]
    is_shown = studies.get("bad", {"error": "not there"})["error"] is None
    return ACCEPTED if is_shown or any(answers) else REFUSED


def read_events(events) -> str:
    """An event file of whole records."""
    return _read_logdir(lambda directory: write_events(directory, events))


@functools.cache
def _good_file(run: str) -> bytes:
    (file,) = (good_logdir() / run).iterdir()
    return file.read_bytes()


def read_event_file(content: bytes) -> str:
    """An event file of any bytes."""

    def fill(directory: pathlib.Path) -> None:
        directory.mkdir()
        (directory / "events.out.tfevents.1.here").write_bytes(content)

    return _read_logdir(fill)


def targets() -> list[Target]:
    """All of them."""
    for run in (CONFUSION_RUN, PROTOTYPE_RUN):
        # Now: TensorBoard draws random numbers while it reads.
        good_events(run)
    files = st.sampled_from([CONFUSION_RUN, PROTOTYPE_RUN]).flatmap(
        lambda run: fuzzing.byte_mutations(_good_file(run))
    )
    paths = st.lists(_parts, min_size=1, max_size=5)
    return [
        Target("plugin: requests", requests(), ask, speed=2),
        Target(
            "plugin: paths of static files",
            st.one_of(paths, paths.map(lambda parts: ["VERSION", *parts])),
            ask_for_file,
            speed=2,
        ),
        Target("plugin: events", event_lists(), read_events, speed=0.5),
        Target("plugin: event files", files, read_event_file, speed=0.5),
    ]


def write_hostile_logdir(logdir: pathlib.Path, num_runs: int) -> None:
    """Writes a good study beside bad runs, for a TensorBoard process."""
    shutil.copytree(good_logdir() / "confusion", logdir / "good")
    numbers = itertools.count()

    def write(events) -> str:
        write_events(logdir / f"bad{next(numbers)}", events)
        return ACCEPTED

    _, _, events, files = targets()
    fuzzing.run(Target("events", events.strategy, write), num_runs)

    def write_file(content: bytes) -> str:
        directory = logdir / f"bad{next(numbers)}"
        directory.mkdir()
        (directory / "events.out.tfevents.1.here").write_bytes(content)
        return ACCEPTED

    fuzzing.run(Target("files", files.strategy, write_file), num_runs)
