"""What a `.keras` file promises, before Keras builds anything of it.

It is a zip archive of the layers' settings, `config.json`, and of their weights in an
HDF5 file. A few kilobytes can ask for terabytes, in either. HDF5 files can also point
to other files, which Keras would read.
"""

import io
import json
import math
import pathlib
import zipfile

import h5py
import keras
import tensorflow as tf

# Of all members, and of the weights in memory. A file may promise more if it is not
# much smaller itself: Keras stores without compression.
MAX_BYTES = 2**30
MAX_RATIO = 100
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_CONFIG_BYTES = 2**26


def check_keras_file(path: pathlib.Path, *, max_bytes: int | None = None) -> None:
    """Refuses a `.keras` file that promises too much, or points to other files.

    Args:
        path: The file.
        max_bytes: Most bytes of its members and of its weights in memory; `None` takes
            `MAX_BYTES`, or `MAX_RATIO` times the size of the file where that is more.

    Raises:
        ValueError: If it does; the message is the reason alone.
        zipfile.BadZipFile: If it is no archive.
    """
    limit = max_bytes or max(MAX_BYTES, MAX_RATIO * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) < len(names):
            raise ValueError("it holds a file twice")
        for name in names:
            if pathlib.PurePosixPath(name).is_absolute() or ".." in name.split("/"):
                raise ValueError(f"it holds a file outside of itself, {name!a:.80}")
        _check_bytes("its files take", sum(m.file_size for m in members), limit)
        for name in (_CONFIG, _WEIGHTS):
            if name not in names:
                raise ValueError(f"it holds no {name}")
        if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"{_CONFIG} has more than {_MAX_CONFIG_BYTES} bytes")
        config = json.loads(archive.read(_CONFIG))
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as weights:
            _check_bytes("its weights take", _stored_bytes(weights), limit)
    _check_bytes("its layers ask for", _asked_bytes(config), limit)


def _check_bytes(what: str, num_bytes: int, limit: int) -> None:
    if num_bytes > limit:
        raise ValueError(
            f"{what} {num_bytes} bytes, where {limit} are the most: give load_probe a "
            "larger max_bytes if that is right"
        )


def _stored_bytes(weights: h5py.File) -> int:
    """Bytes that all arrays take in memory."""
    sizes = []

    def look(name, thing) -> None:
        if isinstance(thing, h5py.Group):
            for child in thing:
                if not isinstance(thing.get(child, getlink=True), h5py.HardLink):
                    raise ValueError(f"{_WEIGHTS} points elsewhere at {name!a:.80}")
        elif isinstance(thing, h5py.Dataset):
            if thing.external or thing.is_virtual:
                raise ValueError(f"{_WEIGHTS} points to a file at {name!a:.80}")
            if thing.shape is not None:
                sizes.append(math.prod(thing.shape) * thing.dtype.itemsize)

    look("/", weights)
    # Each thing once, however many links there are to it.
    weights.visititems(look)
    return sum(sizes)


def _asked_bytes(config: dict) -> int:
    """Bytes of the weights that the layers would have; none of them is made."""
    policy = keras.config.dtype_policy()
    # Without the optimiser, which is not built either.
    layers = {key: value for key, value in config.items() if key != "compile_config"}
    num_bytes = None
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(layers, safe_mode=True)
            num_bytes = sum(
                math.prod(variable.shape) * tf.as_dtype(variable.dtype).size
                for variable in model.variables
            )
    finally:
        if num_bytes is None or num_bytes > MAX_BYTES:
            # Keras would make the weights when it is next used otherwise.
            keras.utils.clear_session()
            keras.config.set_dtype_policy(policy)
    return num_bytes
