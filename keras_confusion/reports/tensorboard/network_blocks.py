"""A block of finished networks, as event files have it: one point a tag."""

import collections

import numpy as np

from keras_confusion.reports.tensorboard.event_writer import RunWriter
from tb_plugin import metadata


class NetworkBlock:
    """Takes networks until it is written, and is empty again then."""

    def __init__(self):
        self.num_written = 0
        self._networks: list[np.ndarray] = []
        self._correct: list[np.ndarray] = []
        # Of each tag: values, and the step of the last one.
        self._values: dict[str, list[float]] = collections.defaultdict(list)
        self._steps: collections.Counter[str] = collections.Counter()

    def add(self, network: np.ndarray, correct: np.ndarray) -> None:
        """Adds one network.

        Args:
            network: A row of `metadata.TAG_NETWORKS`.
            correct: A row of `metadata.TAG_CORRECT`.
        """
        self._networks.append(network)
        self._correct.append(correct)

    def mean(self, tag: str, value: float, step: int) -> None:
        """Adds a value to a curve that gets the mean of a block, at its last step."""
        self._values[tag].append(float(value))
        self._steps[tag] = step

    def count(self, tag: str, value: float) -> None:
        """The same of a curve whose step counts its values."""
        self.mean(tag, value, self._steps[tag] + 1)

    def write(self, writer: RunWriter, num_networks: int) -> None:
        """Writes the block, whose last network is that of this number."""
        for tag, values in self._values.items():
            writer.scalar(tag, float(np.mean(values)), self._steps[tag])
        # First what the others refer to.
        writer.tensor(metadata.TAG_CORRECT, np.stack(self._correct), num_networks)
        writer.tensor(metadata.TAG_NETWORKS, np.stack(self._networks), num_networks)
        self._values.clear()
        self._networks.clear()
        self._correct.clear()
        self.num_written = num_networks
