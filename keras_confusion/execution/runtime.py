"""Starting TensorFlow: without its start-up chatter, and on the right threads.

Importing this module does not import TensorFlow; `start_tensorflow` does.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import joblib

# Instruction sets in which oneDNN multiplies bfloat16 natively; without them it
# emulates, and float32 is faster.
_BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
_BFLOAT16_COMPUTE_CAPABILITY = (8, 0)
_KERAS_BACKEND = "tensorflow"
_SECONDS_BETWEEN_LOOKS = 0.5


@contextlib.contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Holds back what C++ code writes to standard error; an error has it as a note.

    TensorFlow logs its first lines before its own log level is read, so that only
    the file descriptor itself can keep them away.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held_back:
        real_stderr = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException as error:
            held_back.seek(0)
            error.add_note(held_back.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real_stderr, 2)
            os.close(real_stderr)


def start_tensorflow(
    *, threads: int | None = None, gpus: bool = True, deterministic: bool = False
) -> None:
    """Imports TensorFlow and Keras and settles how they use this machine.

    Call it before anything else touches TensorFlow. `TF_CPP_MIN_LOG_LEVEL=0` in the
    environment brings all of TensorFlow's own messages back.

    Args:
        threads: Threads of one operation, and operations at a time. One thread is
            fastest where several processes share the cores, and makes training
            bit-identical between processes. `None` leaves TensorFlow's choice. Has no
            effect where TensorFlow already runs in this process, or sees a GPU.
        gpus: Whether this process may use GPUs.
        deterministic: Whether every operation must give the same bits whenever it is
            run on the same machine, for the rest of the process. Slower on GPUs.

    Raises:
        ValueError: If Keras computes with something else already.
    """
    wants_messages = os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    choose_keras_backend()
    quiet = (
        contextlib.nullcontext
        if wants_messages or "tensorflow" in sys.modules
        else _native_stderr_held_back
    )
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf

        if deterministic:
            tf.config.experimental.enable_op_determinism()
        found = tf.config.list_physical_devices("GPU") if gpus else []
        try:
            if not gpus:
                tf.config.set_visible_devices([], "GPU")
            if threads is not None and not found:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
            for gpu in found:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            # TensorFlow runs already in this process, and keeps its settings.
            return
        # Starts it now, while its messages are held back.
        tf.config.list_logical_devices()


def choose_keras_backend() -> None:
    """Has Keras compute with TensorFlow, as every loop of this package does.

    Raises:
        ValueError: If it was imported with another backend, which it keeps for the rest
            of the process.
    """
    keras = sys.modules.get("keras")
    if keras is not None and (backend := keras.backend.backend()) != _KERAS_BACKEND:
        raise ValueError(
            "Expected Keras on TensorFlow, with which keras_confusion trains. "
            f"Received: Keras, imported before, on {backend}. Use a new process, with "
            f"the environment variable KERAS_BACKEND={_KERAS_BACKEND}."
        )
    # Keras reads it at import.
    os.environ["KERAS_BACKEND"] = _KERAS_BACKEND


@functools.cache
def end_with(parent: int) -> None:
    """Ends this process when its parent is gone, killed and unable to say so."""

    def watch():
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def is_single_threaded() -> bool:
    """Whether operations in this process compute in one thread."""
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() == 1


def num_gpus() -> int:
    """Number of GPUs that TensorFlow sees. Imports TensorFlow."""
    import tensorflow as tf

    return len(tf.config.get_visible_devices("GPU"))


def gpu_memory_bytes() -> int | None:
    """Memory that TensorFlow may use of the first GPU; `None` without a GPU."""
    if not num_gpus():
        return None
    # TensorFlow has no public name for it.
    from tensorflow.python.client import device_lib

    limits = [
        device.memory_limit
        for device in device_lib.list_local_devices()
        if device.device_type == "GPU"
    ]
    return limits[0]


@dataclasses.dataclass(frozen=True)
class Machine:
    """What of a machine decides how networks are trained on it.

    Args:
        dtype_policy: See `default_dtype_policy`.
        gpu_memory_bytes: See `gpu_memory_bytes`.
    """

    dtype_policy: str
    gpu_memory_bytes: int | None


def this_machine() -> Machine:
    """The machine of this process. Starts TensorFlow."""
    start_tensorflow(threads=1)
    return Machine(default_dtype_policy(), gpu_memory_bytes())


def default_num_workers() -> int:
    """One process where TensorFlow sees a GPU, else one per physical core."""
    return 1 if num_gpus() else joblib.cpu_count(only_physical_cores=True)


def default_dtype_policy() -> str:
    """`"mixed_bfloat16"` where the GPU or the processor has it, else `"float32"`."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        capability = details.get("compute_capability", (0, 0))
        native = capability >= _BFLOAT16_COMPUTE_CAPABILITY
    else:
        native = bool(_BFLOAT16_CPU_FLAGS & _cpu_flags())
    return "mixed_bfloat16" if native else "float32"


def _cpu_flags() -> set[str]:
    """Instruction sets that Linux reports; empty elsewhere."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    for line in cpuinfo.read_text().splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].split())
    return set()
