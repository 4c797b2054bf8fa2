"""What the images of a data set have in common: their spectrum and their colours.

Prototypes that a person can see are made with them. They travel with a saved model, so
that to probe it needs no data.
"""

import dataclasses
import pathlib
from typing import Self

import numpy as np

from keras_confusion.errors import StudyFolderError

FILE = "image_statistics.npz"
# So many images are enough, and so many values in memory at a time.
_MOST_IMAGES, _MOST_VALUES = 5000, 10**8
# Grey images that are stored in colour have one colour direction only.
_SMALLEST_SHARE = 1e-3
# Covariance of red, green and blue over all pixels of CIFAR-10's training images.
_CIFAR10_COLOURS = (
    (0.06102, 0.05482, 0.05070),
    (0.05482, 0.05929, 0.05780),
    (0.05070, 0.05780, 0.06843),
)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Averages over the training images.

    Args:
        colours: float32 `(channels, channels)`: independent channels of deviation 1
            times its transpose have the images' covariances of colours, up to a factor
            by which the largest deviation is 1. Its columns are the principal
            components, of CIFAR-10 first brightness, then blue against red.
        spectrum: float32 `(height, width // 2 + 1, channels)`, the mean magnitude of
            the discrete Fourier transform of the images without these covariances;
            `None` if it is not known.
    """

    colours: np.ndarray
    spectrum: np.ndarray | None = None

    @classmethod
    def of_images(cls, images: np.ndarray) -> Self:
        """The statistics of images.

        Args:
            images: uint8 or float array `(n, height, width, channels)`, 0 to 255 or 0
                to 1; `num_images` of them are enough.
        """
        values = images.astype(np.float32)
        if images.dtype == np.uint8:
            values /= 255
        pixels = values.reshape(-1, values.shape[-1]).astype(np.float64)
        colours = _square_root(
            np.cov(pixels, rowvar=False).reshape(2 * pixels.shape[1:])
        )
        centred = values - pixels.mean(axis=0)
        independent = centred @ np.linalg.inv(colours).T
        magnitudes = np.abs(np.fft.rfft2(independent, axes=(1, 2)))
        return cls(
            colours.astype(np.float32), magnitudes.mean(axis=0, dtype=np.float32)
        )

    @classmethod
    def usual(cls, num_channels: int) -> Self:
        """The colours of CIFAR-10, for images of three channels; else none."""
        if num_channels == 3:
            return cls(_square_root(np.array(_CIFAR10_COLOURS)).astype(np.float32))
        return cls(np.eye(num_channels, dtype=np.float32))

    def write(self, directory: pathlib.Path) -> None:
        """Writes `FILE` into a folder."""
        if self.spectrum is None:
            raise ValueError("Expected statistics of images. Received: colours only.")
        np.savez(directory / FILE, colours=self.colours, spectrum=self.spectrum)


def num_images(input_shape) -> int:
    """From how many images the statistics are taken, so that they fit into memory."""
    return int(np.clip(_MOST_VALUES // np.prod(input_shape), 1, _MOST_IMAGES))


def read(directory: pathlib.Path, input_shape) -> ImageStatistics | None:
    """The statistics in a model's folder.

    Args:
        directory: The folder.
        input_shape: (height, width, channels) of the model's images.

    Returns:
        `None` if it has none, or its images have another size.

    Raises:
        ValueError: If the file is damaged.
    """
    file = directory / FILE
    if not file.is_file():
        return None
    height, width, channels = input_shape
    shapes = {
        "colours": (channels, channels),
        "spectrum": (height, width // 2 + 1, channels),
    }
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], np.float32) for name in shapes}
    except (OSError, ValueError, KeyError) as error:
        raise StudyFolderError(f"{file} is damaged ({error}).") from error
    if any(arrays[name].shape != shape for name, shape in shapes.items()):
        return None
    return ImageStatistics(**arrays)


def _square_root(covariance: np.ndarray) -> np.ndarray:
    """Principal components by their deviations; the largest of a colour is 1."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Either sign of a component would do.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(values))])
    values = np.maximum(values, _SMALLEST_SHARE * values.max())
    root = vectors * np.sqrt(values)
    return root / np.linalg.norm(root, axis=1).max()
