"""The entry point by which TensorBoard finds the plugin.

TensorBoard imports this module at every start, without a net: it imports nothing that
may be missing. What goes wrong in `load` only costs the plugin.
"""

from tensorboard.plugins import base_plugin

from tb_plugin import metadata


class ConfusionLoader(base_plugin.TBLoader):
    """Loads the plugin, and has TensorBoard keep all of its data."""

    def fix_flags(self, flags) -> None:
        """Keeps every step of the plugin's tags, unless the user asked for fewer.

        Without it a random sample is kept: of 300 networks, 100 or 10.
        """
        flags.samples_per_plugin.setdefault(metadata.PLUGIN_NAME, 0)

    def load(self, context):
        """Returns the plugin for a `base_plugin.TBContext`."""
        from tb_plugin.plugin import ConfusionPlugin

        return ConfusionPlugin(context)
