"""What did an image classifier learn, and what does it think a class looks like?

    keras_confusion.run_confusion_study("studies/digits")
    study = keras_confusion.open_study("studies/digits")
    study.findings()

is a whole study, and so it is with `run_prototype_study`. Names that are not here live
in the module that defines them. Importing the package does not import TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_confusion.callbacks.prototype_callback import PrototypeCallback
    from keras_confusion.comparisons.planner import plan_study
    from keras_confusion.confusion.study import run_confusion_study
    from keras_confusion.datasets.loading import load_dataset
    from keras_confusion.models.architectures import build_model
    from keras_confusion.models.loading import load_probe
    from keras_confusion.models.saving import save_model
    from keras_confusion.prototypes.store import read_prototype_study
    from keras_confusion.prototypes.study import run_prototype_study
    from keras_confusion.reports.results import open_study
    from keras_confusion.reports.study_report import write_report

__version__ = "0.2.0"

_HOMES = {
    "PrototypeCallback": "callbacks.prototype_callback",
    "build_model": "models.architectures",
    "load_dataset": "datasets.loading",
    "load_probe": "models.loading",
    "open_study": "reports.results",
    "plan_study": "comparisons.planner",
    "read_prototype_study": "prototypes.store",
    "run_confusion_study": "confusion.study",
    "run_prototype_study": "prototypes.study",
    "save_model": "models.saving",
    "write_report": "reports.study_report",
}
__all__ = [
    "PrototypeCallback",
    "build_model",
    "load_dataset",
    "load_probe",
    "open_study",
    "plan_study",
    "read_prototype_study",
    "run_confusion_study",
    "run_prototype_study",
    "save_model",
    "write_report",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name].startswith(("models.", "callbacks.")):
        # Which import Keras; studies have it chosen where they start TensorFlow.
        runtime = importlib.import_module(f"{__name__}.execution.runtime")
        runtime.choose_keras_backend()
    if name == "load_dataset":
        # It imports TensorFlow, whose messages would fill a notebook's first cell.
        runtime = importlib.import_module(f"{__name__}.execution.runtime")
        runtime.start_tensorflow()
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
