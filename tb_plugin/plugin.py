"""The plugin's routes, see http_api.md: they check parameters, ask, and answer."""

import functools
import importlib.metadata
import re
import time
from collections.abc import Callable

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from tb_plugin import (
    answers,
    confusion_data,
    findings,
    metadata,
    prototype_data,
    static_files,
    studies,
)
from tb_plugin.event_data import Cache, EventData
from tb_plugin.study_run import StudyRun
from tb_plugin.study_text import DataError, NotThereError

_STATIC_SECONDS = 7 * 24 * 3600
# Of answers that belong to a stamp.
_STAMPED_SECONDS = 24 * 3600
_BINARY = "application/octet-stream"
_MAX_ECHO = 100


class ConfusionPlugin(base_plugin.TBPlugin):
    """Shows confusion and prototype studies.

    Args:
        context: TensorBoard's `base_plugin.TBContext`.
    """

    plugin_name = metadata.PLUGIN_NAME

    def __init__(self, context):
        self._data_provider = context.data_provider
        self._logdir = context.logdir or ""
        self._cache = Cache()
        self._static = static_files.read_static_files()

    def get_plugin_apps(self):
        """Returns the routes."""
        routes = {
            "/studies": self._studies,
            "/confusion/matrix": self._confusion_matrix,
            "/confusion/cell": self._confusion_cell,
            "/confusion/csv": self._confusion_csv,
            "/confusion/networks_csv": self._confusion_networks_csv,
            "/prototypes/overview": self._prototypes_overview,
            "/prototypes/cells": self._prototypes_cells,
            "/prototypes/matrix": self._prototypes_matrix,
            "/prototypes/image": self._prototypes_image,
            "/prototypes/frames": self._prototypes_frames,
            "/prototypes/csv": self._prototypes_csv,
            "/static/*": self._static_file,
        }
        return {path: _application(handler) for path, handler in routes.items()}

    def is_active(self) -> bool:
        """TensorBoard asks only where it has no data of the plugin."""
        return False

    def frontend_metadata(self):
        """Returns where the front end is."""
        return base_plugin.FrontendMetadata(
            es_module_path=f"/static/{self._static.version}/index.js",
            tab_name="Confusion",
        )

    def _studies(self, request):
        listed = []
        if self._data_provider is not None:
            listed = studies.list_studies(self._events(request), now=time.time())
        return _respond_json(
            request,
            {"version": _version(), "logdir": self._logdir, "studies": listed},
        )

    def _confusion_matrix(self, request):
        run = self._run(request, metadata.KIND_CONFUSION)
        table = _choice(request, "table", confusion_data.TABLES)
        response = _choice(request, "response", metadata.RESPONSES)
        columns = _text(request, "columns").split(",")
        if len(columns) > len(confusion_data.MATRIX_COLUMNS):
            raise errors.InvalidArgumentError("columns: too many.")
        for column in columns:
            _check_choice("columns", column, confusion_data.MATRIX_COLUMNS)
        values = _comparison(run, table)
        matrix = confusion_data.matrix(values, response, columns)
        return _respond(request, answers.float32_bytes(matrix), _BINARY)

    def _confusion_cell(self, request):
        run = self._run(request, metadata.KIND_CONFUSION)
        return _respond_json(request, confusion_data.cell(run, **_cell(request, run)))

    def _confusion_csv(self, request):
        run = self._run(request, metadata.KIND_CONFUSION)
        table = _choice(request, "table", confusion_data.TABLES)
        values = _comparison(run, table)
        rows = confusion_data.csv_rows(run.name, run.study, table, values)
        return _respond_csv(request, table, confusion_data.csv_header(table), rows)

    def _confusion_networks_csv(self, request):
        run = self._run(request, metadata.KIND_CONFUSION)
        rows = confusion_data.networks_rows(run, **_cell(request, run))
        return _respond_csv(request, "networks", confusion_data.NETWORKS_HEADER, rows)

    def _prototypes_overview(self, request):
        run = self._run(request, metadata.KIND_PROTOTYPES)
        return _respond_json(request, prototype_data.overview(run))

    def _prototypes_cells(self, request):
        run, part = self._part(request)
        values = _there(prototype_data.cells(run, *part))
        return _respond(request, answers.float32_bytes(values), _BINARY)

    def _prototypes_matrix(self, request):
        run, part = self._part(request)
        name = _choice(request, "matrix", prototype_data.MATRICES)
        index = _class(request, "index", run)
        values = _there(prototype_data.matrix(run, *part, name=name, index=index))
        return _respond(request, answers.float32_bytes(values), _BINARY)

    def _prototypes_image(self, request):
        run, part = self._part(request)
        target = None
        if "target" in request.args:
            target = _class(request, "target", run)
        content = _there(prototype_data.image(run, *part, target))
        return _respond(request, content, "image/png")

    def _prototypes_frames(self, request):
        run, part = self._part(request)
        target = _class(request, "target", run)
        content = _there(prototype_data.frames(run, *part, target))
        return _respond(request, content, "image/png")

    def _prototypes_csv(self, request):
        run = self._run(request, metadata.KIND_PROTOTYPES)
        table = _choice(request, "table", prototype_data.TABLES)
        header = prototype_data.csv_header(run, table)
        return _respond_csv(request, table, header, prototype_data.csv_rows(run, table))

    def _static_file(self, request):
        _, _, path = request.path.partition(f"/{metadata.PLUGIN_NAME}/static/")
        file = _there(self._static.find(path))
        return http_util.Respond(
            request,
            file.gzipped,
            file.content_type,
            content_encoding="gzip",
            expires=_STATIC_SECONDS,
        )

    def _events(self, request) -> EventData:
        return EventData(
            self._data_provider,
            self._cache,
            plugin_util.context(request.environ),
            plugin_util.experiment_id(request.environ),
        )

    def _run(self, request, kind: str) -> StudyRun:
        if self._data_provider is None:
            raise errors.NotFoundError("TensorBoard gives plugins no data.")
        return studies.find_study(self._events(request), _text(request, "run"), kind)

    def _part(self, request) -> tuple[StudyRun, tuple[int, int]]:
        run = self._run(request, metadata.KIND_PROTOTYPES)
        interval = _index(request, "interval", len(run.study["intervals"]))
        return run, (
            interval,
            _index(request, "init", run.study["num_initialisations"]),
        )


def _application(handler: Callable):
    """A WSGI application of a handler, whose errors TensorBoard can tell."""

    @functools.wraps(handler)
    def checked(request):
        if request.method not in ("GET", "HEAD"):
            return http_util.Respond(
                request, "Expected GET.", "text/plain", 405, headers=[("Allow", "GET")]
            )
        try:
            return handler(request)
        except DataError as error:
            raise errors.InvalidArgumentError(str(error)) from error
        except NotThereError as error:
            raise errors.NotFoundError(str(error)) from error

    return wrappers.Request.application(checked)


def _comparison(run: StudyRun, table: str):
    _, values = _there(confusion_data.comparison(run, table))
    return values


def _there(value):
    if value is None:
        raise errors.NotFoundError("it is not there, or not yet.")
    return value


def _text(request, name: str) -> str:
    value = request.args.get(name)
    if not value:
        raise errors.InvalidArgumentError(f"{name}: is missing.")
    return value


def _index(request, name: str, number: int) -> int:
    text = _text(request, name)
    # `int` also reads "1_0", " 1" and the digits of other scripts.
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) >= number:
        raise errors.InvalidArgumentError(
            f"{name}: expected 0 to {number - 1}, received {text[:_MAX_ECHO]!r}."
        )
    return int(text)


def _class(request, name: str, run: StudyRun) -> int:
    return _index(request, name, len(run.study["class_names"]))


def _cell(request, run: StudyRun) -> dict:
    """The cell of a confusion study that is asked for."""
    table = _choice(request, "table", confusion_data.TABLES)
    row = _index(request, "row", confusion_data.num_rows(run.study, table))
    target = _class(request, "target", run)
    if table == findings.TARGET_BY_CLASS and row == target:
        raise errors.InvalidArgumentError("row: expected another class than target.")
    response = _choice(request, "response", metadata.RESPONSES)
    return {"table": table, "response": response, "row": row, "target": target}


def _choice(request, name: str, choices) -> str:
    return _check_choice(name, _text(request, name), choices)


def _check_choice(name: str, value: str, choices) -> str:
    if value not in choices:
        raise errors.InvalidArgumentError(
            f"{name}: expected {', '.join(choices)}, received {value[:_MAX_ECHO]!r}."
        )
    return value


def _respond(request, content, content_type: str):
    expires = _STAMPED_SECONDS if request.args.get("stamp") else 0
    return http_util.Respond(request, content, content_type, expires=expires)


def _respond_json(request, answer: dict):
    return _respond(request, answers.json_text(answer), "application/json")


def _respond_csv(request, table: str, header, rows):
    # The name is one of ours, so that it cannot break out of the header.
    disposition = f'attachment; filename="{table}.csv"'
    return http_util.Respond(
        request,
        answers.csv_text(header, rows),
        "text/csv",
        headers=[("Content-Disposition", disposition)],
    )


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("keras_confusion")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
