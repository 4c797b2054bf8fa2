"""What the networks of a study are, and what they are trained on, in numbers.

A study that is resumed must train the networks that it began with. Its settings name a
model and a data set; this is what the names stood for. It is compared within a small
tolerance, as another machine or version rounds otherwise.
"""

from typing import Any

import numpy as np

from keras_confusion.datasets.labelled_dataset import LabelledDataset, to_unit_range

# Of means, standard deviations and pixels in [0, 1]; of outputs, times their largest.
TOLERANCE = 1e-3
_DIGITS = 6
_NUM_INPUTS = 4
_NUM_EXAMPLES = 1000
# Of these, each on its own, in coarse pixels.
_NUM_SINGLE = 16
_COARSE = 4


def network_identity(
    model: Any, dataset: LabelledDataset, model_options: dict[str, Any]
) -> dict[str, Any]:
    """What a model function builds for a data set, JSON types.

    Args:
        model: A name or function, see `architectures.build_model`.
        dataset: The data set.
        model_options: More arguments of the model function.

    Returns:
        "layers": class names; "variables": [shape, mean, sd] of every initial variable
        at seed 0; "outputs": the answers to four fixed inputs, float32.
    """
    from keras_confusion.models import architectures

    network = architectures.build_model(
        model, seed=0, **dataset.model_arguments, **model_options
    )
    shape = (_NUM_INPUTS, *dataset.input_shape)
    rng = np.random.default_rng(0)
    inputs: np.ndarray = rng.random(shape, np.float32)
    if dataset.vocabulary_size is not None:
        inputs = rng.integers(0, dataset.vocabulary_size, shape, dtype=np.int32)
    variables = [variable.numpy() for variable in network.weights]
    return {
        "layers": [type(layer).__name__ for layer in _flat(network)],
        "variables": [
            [list(one.shape), _rounded(one.mean()), _rounded(one.std())]
            for one in variables
        ],
        "outputs": _rounded(network(inputs, training=False)),
    }


def data_identity(dataset: LabelledDataset) -> dict[str, Any]:
    """What the images of a data set look like, JSON types; nothing of tokens.

    Labels and tokens are in `LabelledDataset.fingerprint`.

    Args:
        dataset: Of it at most 1,000 training and as many test images are read.

    Returns:
        By split "mean" and "sd" of 4 x 4 coarse pixels over those images, and "single",
        the coarse pixels of some of them, all in [0, 1].
    """
    if dataset.vocabulary_size is not None:
        return {}
    identity = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        coarse = _coarse(to_unit_range(split.sample(_NUM_EXAMPLES)))
        identity[name] = {
            "mean": _rounded(coarse.mean(axis=0)),
            "sd": _rounded(coarse.std(axis=0)),
            "single": _rounded(coarse[:_NUM_SINGLE].mean(axis=-1)),
        }
    return identity


def differences(stored: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What of two identities differs by more than rounding, in words.

    Args:
        stored: {"network": ..., "data": ...}, as a study's folder has it.
        here: The same of what would be trained now.
    """
    found = []
    network, network_here = stored["network"], here["network"]
    if network["layers"] != network_here["layers"]:
        found.append("the model has other layers")
    elif [one[0] for one in network["variables"]] != [
        one[0] for one in network_here["variables"]
    ]:
        found.append("the model's weights have other shapes")
    elif not _close(
        [one[1:] for one in network["variables"]],
        [one[1:] for one in network_here["variables"]],
    ):
        found.append("the model's initial weights have other values")
    elif not _close(network["outputs"], network_here["outputs"]):
        found.append("the model computes something else from the same weights")
    if not all(
        _close(stored["data"][split][name], here["data"][split][name])
        for split in stored["data"]
        for name in stored["data"][split]
    ):
        found.append("the data set has other pixels")
    return found


def _flat(network) -> list:
    """Layers of layers, too, where they are known before the model is called."""
    layers = []
    for layer in getattr(network, "layers", []):
        layers += [layer, *_flat(layer)]
    return layers


def _coarse(images: np.ndarray) -> np.ndarray:
    """Means of 4 x 4 blocks, `(n, 4, 4, channels)`; of small images fewer."""
    rows = np.array_split(np.arange(images.shape[1]), min(_COARSE, images.shape[1]))
    columns = np.array_split(np.arange(images.shape[2]), min(_COARSE, images.shape[2]))
    return np.stack(
        [
            np.stack([images[:, r][:, :, c].mean(axis=(1, 2)) for c in columns], axis=1)
            for r in rows
        ],
        axis=1,
    )


def _rounded(values) -> Any:
    return np.round(np.asarray(values, np.float64), _DIGITS).tolist()


def _close(one, other) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    scale = max(1.0, np.abs(one).max(initial=0))
    return one.shape == other.shape and np.allclose(
        one, other, rtol=0, atol=TOLERANCE * scale, equal_nan=True
    )
