"""TensorBoard's application with the plugin, in this process."""

import json
import urllib.parse

from tensorboard.backend import application
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.plugins import base_plugin
from werkzeug import wrappers
from werkzeug.test import Client

from tb_plugin import metadata
from tb_plugin.plugin import ConfusionPlugin

BASE = f"/data/plugin/{metadata.PLUGIN_NAME}/"


class PluginSite:
    """The plugin over one logdir, read by TensorBoard's Python loader."""

    def __init__(self, logdir):
        multiplexer = plugin_event_multiplexer.EventMultiplexer(
            tensor_size_guidance={metadata.PLUGIN_NAME: 0}
        )
        multiplexer.AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
        context = base_plugin.TBContext(data_provider=provider, logdir=str(logdir))
        app = application.TensorBoardWSGI(
            [ConfusionPlugin(context)], data_provider=provider
        )
        self.client = Client(app, wrappers.Response)

    def get(self, path: str, parameters=()):
        """An answer of the plugin.

        Args:
            path: Below the plugin's, as in an address.
            parameters: A dict, or a query as in an address.
        """
        if not isinstance(parameters, str):
            parameters = urllib.parse.urlencode(parameters)
        # As a server does it; the client would tidy the path up first.
        path, _, query = path.partition("?")
        return self.client.get(
            "/",
            environ_overrides={
                "PATH_INFO": urllib.parse.unquote(
                    (BASE + path).encode().decode("latin-1"), "latin-1"
                ),
                "QUERY_STRING": query or parameters,
            },
        )

    def listing(self) -> dict:
        """TensorBoard's list of plugins."""
        return json.loads(self.client.get("/data/plugins_listing").text)


def check_answer(answer) -> bool:
    """Checks that an answer is one that the plugin promises; whether it is a 200."""
    assert answer.status_code in (200, 400, 404, 405), answer.text[:500]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kind = answer.mimetype
    if answer.status_code != 200:
        assert kind == "text/plain"
        assert "Traceback" not in answer.text
        assert len(answer.text) < 2000
        return False
    assert kind in (
        *("application/json", "application/octet-stream", "image/png", "text/csv"),
        *("text/javascript", "text/css", "image/svg+xml", "text/plain"),
    )
    if kind == "application/json":
        json.loads(answer.text, parse_constant=_refuse)
    if kind == "image/png":
        assert answer.data.startswith(b"\x89PNG")
    if kind == "application/octet-stream":
        assert len(answer.data) % 4 == 0
    return True


def _refuse(name):
    raise AssertionError(f"{name} is no JSON")
