"""The list of studies: what they are about, how far they are, what is wrong."""

import numpy as np

from tb_plugin import (
    arrays,
    confusion_data,
    metadata,
    network_data,
    networks,
    prototype_data,
)
from tb_plugin.event_data import EventData, Tags
from tb_plugin.study_run import StudyRun
from tb_plugin.study_text import DataError, NotThereError

# What a list is made of, and whether only the newest of it.
_LISTED_TAGS = {
    metadata.TAG_STUDY: True,
    metadata.TAG_CLASS_ORDER: True,
    metadata.TAG_NETWORKS: False,
    metadata.TAG_NETWORK: False,
}
_FOLDERS = (metadata.TRAINING_RUN, metadata.PROTOTYPES_RUN)


def list_studies(events: EventData, *, now: float) -> list[dict]:
    """All studies, in the order of their names, as `studies` answers.

    Args:
        events: Of the request.
        now: Seconds since 1970.
    """
    runs = events.runs()
    for tag, newest in _LISTED_TAGS.items():
        events.read_ahead(runs, tag, newest=newest)
    return [
        _study(events, run, runs[run], now)
        for run in sorted(runs)
        if metadata.TAG_STUDY in runs[run].tensors or runs[run].error
    ]


def find_study(events: EventData, run: str, kind: str) -> StudyRun:
    """Returns the run of a study.

    Args:
        events: Of the request.
        run: Its name.
        kind: What it has to be.

    Raises:
        NotThereError: If no run of that name is a study of that kind.
        DataError: If it cannot be shown.
    """
    tags = events.tags(run)
    if metadata.TAG_STUDY not in tags.tensors:
        raise NotThereError("no such run, or it is not a study.")
    study = StudyRun(events, run, tags)
    if study.study["kind"] != kind:
        raise NotThereError(f"the run is not a study of the kind {kind}.")
    return study


def short_name(run: str) -> str:
    """The run without the folders that every study has."""
    for folder in _FOLDERS:
        if run == folder:
            return "."
        if run.endswith(f"/{folder}"):
            return run[: -len(folder) - 1]
    return run


def _study(events: EventData, run: str, tags: Tags, now: float) -> dict:
    listed: dict = {
        "run": run,
        "name": short_name(run),
        "kind": None,
        "stamp": "",
        "error": None,
        "study": None,
    }
    try:
        if tags.error:
            raise tags.error
        study_run = StudyRun(events, run, tags)
        listed["stamp"] = _stamp(tags)
        listed["kind"] = study_run.study["kind"]
        if listed["kind"] == metadata.KIND_CONFUSION:
            listed |= _confusion(study_run, now)
        else:
            listed["progress"] = prototype_data.progress(study_run)
        listed["study"] = study_run.study
    except DataError as error:
        listed["error"] = {"reason": error.reason, "text": str(error)}
    return listed


def _stamp(tags: Tags) -> str:
    """A text that is another one whenever the data are others."""
    series = [*tags.tensors.values(), *tags.blobs.values()]
    newest = max(one.max_wall_time for one in series)
    return f"{newest}-{max(one.max_step for one in series)}"


def _confusion(run: StudyRun, now: float) -> dict:
    described = run.tags.tensors[metadata.TAG_STUDY].max_wall_time
    made = {
        table: series.max_step
        for table, tag in confusion_data.TABLES.items()
        if (series := run.tags.tensors.get(tag)) is not None
        and series.max_wall_time >= described
    }
    return {
        "test_title": metadata.TEST_TITLES[run.study["test"]],
        "tables": list(made),
        "progress": networks.progress(
            network_data.read_networks(run),
            num_planned=run.study["num_planned"],
            num_in_tables=max(made.values(), default=0),
            now=now,
        ),
        "class_order": _class_order(run),
    }


def _class_order(run: StudyRun) -> list[int] | None:
    point = run.newest(metadata.TAG_CLASS_ORDER)
    if point is None:
        return None
    num_classes = len(run.study["class_names"])
    order = arrays.check_array(
        "the order of the classes",
        point.values,
        shape=(num_classes,),
        dtypes=("int64",),
    )
    if not np.array_equal(np.sort(order), np.arange(num_classes)):
        raise DataError("The order of the classes makes no sense.")
    return order.tolist()
