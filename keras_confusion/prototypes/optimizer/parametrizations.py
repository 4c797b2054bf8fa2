"""What is optimised in place of pixels: numbers from which an image is computed.

    pixels    the pixels themselves
    fourier   the spectrum of every colour, scaled by 1 / frequency, with the colours'
              correlations, and a sigmoid (Olah, Mordvintsev and Schubert, Feature
              Visualization, 2017; the code is lucid's)
    maco      the phases of the spectrum only; the magnitudes are the data set's mean
              (Fel et al., Unlocking Feature Visualization for Deeper Networks with
              MAgnitude Constrained Optimization, 2023)

The poster's images are `pixels`: noise that the network is sure of. With the others a
person can see what the network is sure of.

The parameters of one image have three axes, whatever they are.
"""

import dataclasses
import math
from typing import ClassVar, TypeAlias

import numpy as np
import tensorflow as tf

from keras_confusion.models.image_statistics import ImageStatistics

NAMES = ("pixels", "fourier", "maco")
# Standard deviation of the coefficients that images start from; lucid's.
_FOURIER_DEVIATION = 0.01
# By lucid, so that the learning rates that are customary fit.
_FOURIER_SCALE = 0.25
_TINY = 1e-6
_RENDERED_AT_A_TIME = 100


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Pixels in [0, 1].

    Args:
        image_shape: (height, width, channels).
    """

    image_shape: tuple[int, int, int]
    name: ClassVar[str] = "pixels"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the parameters of one image."""
        return self.image_shape

    def start(self, seed, count: int) -> np.ndarray:
        """Parameters to start from, float32 `(count, *shape)`: uniform noise."""
        generator = np.random.default_rng(seed)
        return generator.random((count, *self.shape), np.float32)

    def images(self, parameters: tf.Tensor) -> tf.Tensor:
        """The images `(batch, height, width, channels)` in [0, 1]."""
        return parameters

    def allowed(self, parameters: tf.Tensor) -> tf.Tensor:
        """The nearest parameters of an image."""
        return tf.clip_by_value(parameters, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Fourier:
    """A spectrum: real and imaginary parts of the coefficients, channel by channel.

    Args:
        image_shape: (height, width, channels).
        statistics: The colours of the images.
    """

    image_shape: tuple[int, int, int]
    statistics: ImageStatistics
    name: ClassVar[str] = "fourier"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the parameters of one image."""
        height, width, channels = self.image_shape
        return height, width // 2 + 1, 2 * channels

    def start(self, seed, count: int) -> np.ndarray:
        """Parameters to start from, float32 `(count, *shape)`: small normal ones."""
        generator = np.random.default_rng(seed)
        normal = generator.standard_normal((count, *self.shape), np.float32)
        return np.float32(_FOURIER_DEVIATION) * normal

    def images(self, parameters: tf.Tensor) -> tf.Tensor:
        """The images `(batch, height, width, channels)` in [0, 1]."""
        height, width, channels = self.image_shape
        down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
        frequencies = np.maximum(np.hypot(down, across), 1 / max(height, width))
        scale = _FOURIER_SCALE * math.sqrt(height * width) / frequencies
        scaled = parameters * scale[..., None].astype(np.float32)
        spectrum = tf.complex(scaled[..., :channels], scaled[..., channels:])
        return tf.sigmoid(_coloured(_inverse(spectrum, width), self.statistics))

    def allowed(self, parameters: tf.Tensor) -> tf.Tensor:
        """The parameters: there is an image of any."""
        return parameters


@dataclasses.dataclass(frozen=True)
class Maco:
    """The phases of a spectrum, whose magnitudes are given.

    Args:
        image_shape: (height, width, channels).
        statistics: The mean spectrum and the colours of the images.

    Raises:
        ValueError: If the spectrum is not known.
    """

    image_shape: tuple[int, int, int]
    statistics: ImageStatistics
    name: ClassVar[str] = "maco"

    def __post_init__(self):
        if self.statistics.spectrum is None:
            raise ValueError(
                "Expected the mean spectrum of the training images, which `maco` "
                "needs. Received: a model without it. Use a model that `save_model` "
                "wrote with `images`, or `fourier`."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the parameters of one image."""
        height, width, channels = self.image_shape
        return height, width // 2 + 1, channels

    def start(self, seed, count: int) -> np.ndarray:
        """Parameters to start from, float32 `(count, *shape)`: any phases."""
        generator = np.random.default_rng(seed)
        shares = generator.random((count, *self.shape), np.float32)
        return np.float32(2 * np.pi) * shares - np.float32(np.pi)

    def images(self, parameters: tf.Tensor) -> tf.Tensor:
        """The images `(batch, height, width, channels)` in [0, 1]."""
        magnitudes = np.array(self.statistics.spectrum)
        # Means are taken off: without it nothing moves this phase but rounding errors.
        magnitudes[0, 0] = 0
        spectrum = tf.complex(
            magnitudes * tf.cos(parameters), magnitudes * tf.sin(parameters)
        )
        values = _inverse(spectrum, self.image_shape[1])
        # As the authors do: a mean of 0 and a deviation of 1.
        centred = values - tf.reduce_mean(values, axis=(1, 2, 3), keepdims=True)
        power = tf.reduce_mean(centred**2, axis=(1, 2, 3), keepdims=True)
        standard = centred / (tf.sqrt(power) + _TINY)
        return tf.sigmoid(_coloured(standard, self.statistics))

    def allowed(self, parameters: tf.Tensor) -> tf.Tensor:
        """The parameters: there is an image of any."""
        return parameters


Parametrization: TypeAlias = Pixels | Fourier | Maco


def parametrization(
    name: str, image_shape, statistics: ImageStatistics | None = None
) -> Parametrization:
    """The parametrisation of a name.

    Args:
        name: One of `NAMES`.
        image_shape: (height, width, channels).
        statistics: Of the training images; without them `fourier` takes the colours of
            CIFAR-10 for images in colour.

    Raises:
        ValueError: If there is none of that name, or it needs other statistics.
    """
    shape = tuple(image_shape)
    if name == "pixels":
        return Pixels(shape)
    if statistics is None:
        statistics = ImageStatistics.usual(shape[-1])
    if name == "fourier":
        return Fourier(shape, statistics)
    if name == "maco":
        return Maco(shape, statistics)
    raise ValueError(
        f"Expected `parametrization` to be one of {NAMES}. Received: {name!r}."
    )


def rendered(parametrization: Parametrization, parameters: np.ndarray) -> np.ndarray:
    """The images of parameters of any leading axes, a batch at a time."""
    leading = parameters.shape[:-3]
    flat = parameters.reshape(-1, *parameters.shape[-3:])
    images = np.empty((len(flat), *parametrization.image_shape), np.float32)
    for first in range(0, len(flat), _RENDERED_AT_A_TIME):
        batch = slice(first, first + _RENDERED_AT_A_TIME)
        images[batch] = parametrization.images(tf.constant(flat[batch]))
    return images.reshape(*leading, *parametrization.image_shape)


def _inverse(spectrum: tf.Tensor, width: int) -> tf.Tensor:
    """The real images `(batch, height, width, channels)` of half spectra."""
    height = spectrum.shape[1]
    by_channel = tf.transpose(spectrum, (0, 3, 1, 2))
    return tf.transpose(tf.signal.irfft2d(by_channel, (height, width)), (0, 2, 3, 1))


def _coloured(values: tf.Tensor, statistics: ImageStatistics) -> tf.Tensor:
    """Values of independent channels with the correlations of colours."""
    return tf.einsum("bhwc,dc->bhwd", values, statistics.colours)
