"""What did an image classifier learn about one class from another?

    keras_confusion.run_confusion_study("studies/digits")
    keras_confusion.write_report("studies/digits")

is a whole study; every other name lives in the module that defines it. Importing the
package does not import TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "run_confusion_study": "keras_confusion.confusion_study",
    "write_report": "keras_confusion.report",
    "load_dataset": "keras_confusion.datasets",
    "build_model": "keras_confusion.models",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULE_OF]
