"""What images a model that others made takes, and whether they can be optimised."""

import math

import tensorflow as tf

from keras_confusion.models.saving import ModelFolderError

# Of red, green, blue and opacity; the first axis of images that has no more, while the
# last has, is that of the channels.
_MOST_COLOURS = 4
# Of one image: as many as in 4096 x 4096 pixels in colour and opacity.
_MOST_IMAGE_VALUES = 2**26


def image_shape(
    images: tf.TensorSpec, image_size: tuple[int, int] | None, source
) -> tuple[int, int, int]:
    """Height, width and channels of a model's images.

    Args:
        images: What its input is.
        image_size: (height, width), for a model that takes images of any size.
        source: Where it is from, for messages.

    Raises:
        ModelFolderError: If it takes no images in floating point with their channels
            last, none of that size, or too large ones.
    """
    _, height, width, channels = images.shape if images.shape.rank == 4 else 4 * [None]
    if channels is None or not images.dtype.is_floating:
        raise ModelFolderError(
            "Expected a model of images (batch, height, width, channels) in floating "
            "point, as other numbers have no gradient. Received: "
            f"{source} with {images.dtype.name} inputs {images.shape}."
        )
    if height is None or width is None:
        if image_size is None:
            raise ModelFolderError(
                f"Expected an image size for {source}, which takes images of any. "
                "Received: none. Use --image-size HEIGHT WIDTH."
            )
        height, width = height or image_size[0], width or image_size[1]
    if image_size is not None and tuple(image_size) != (height, width):
        raise ModelFolderError(
            f"Expected images of {height} x {width}, the size {source} takes. "
            f"Received: {image_size[0]} x {image_size[1]}."
        )
    if height <= _MOST_COLOURS < channels:
        raise ModelFolderError(
            "Expected images with their channels last. Received: "
            f"{source} with inputs {images.shape}, channels first as it seems."
        )
    if math.prod((height, width, channels)) > _MOST_IMAGE_VALUES:
        raise ModelFolderError(
            f"Expected images of at most {_MOST_IMAGE_VALUES} values. Received: "
            f"{source} with {height} x {width} x {channels}."
        )
    return height, width, channels
