"""What it means to load somebody's model, told before it is loaded."""

import pathlib

from keras_confusion import notices

_KERAS = (
    "{} is built by Keras in its safe mode, which refuses layers that hold Python "
    "code; its layers and sizes are still those that whoever made it chose. Use it "
    "only if you trust them."
)
_SAVED_MODEL = (
    "{} is a SavedModel, a program of TensorFlow's: whoever made it can have it read "
    "and write your files while it is asked. Use it only if you would run a program of "
    "theirs."
)


def tell(path: pathlib.Path) -> None:
    """Prints to stderr what loading a model trusts its maker with.

    Args:
        path: A `.keras` file, or a folder of a SavedModel.
    """
    text = _KERAS if path.is_file() else _SAVED_MODEL
    notices.tell(text.format(path))
