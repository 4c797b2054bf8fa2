"""What did an image classifier learn, and what does it think a class looks like?

    keras_confusion.run_confusion_study("studies/digits")
    keras_confusion.write_report("studies/digits")

is a whole study, and so it is with `run_prototype_study`. Names that are not here live
in the module that defines them. Importing the package does not import TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "run_confusion_study": "keras_confusion.confusion_study",
    "run_prototype_study": "keras_confusion.prototype_study",
    "write_report": "keras_confusion.report",
    "load_dataset": "keras_confusion.datasets",
    "build_model": "keras_confusion.models",
    "save_model": "keras_confusion.saving",
    "load_probe": "keras_confusion.probes",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULE_OF]
