import subprocess
import sys
import types

import pytest

import keras_confusion
from keras_confusion.cli import main
from keras_confusion.execution import runtime


def run(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )


def test_start_is_quiet_single_threaded_and_on_the_right_backend():
    done = run(
        "from keras_confusion.execution import runtime\n"
        "runtime.start_tensorflow(threads=1)\n"
        "import tensorflow as tf, keras\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads(),"
        " tf.config.threading.get_inter_op_parallelism_threads(),"
        " keras.backend.backend())",
        KERAS_BACKEND="numpy",
    )
    assert done.stdout.split() == ["1", "1", "tensorflow"]
    assert done.stderr == ""


def test_models_too_are_on_the_right_backend():
    # Before Keras is imported there is nothing to refuse.
    code = "import keras_confusion; keras_confusion.build_model; import keras"
    done = run(f"{code}; print(keras.backend.backend())", KERAS_BACKEND="numpy")
    assert done.stdout == "tensorflow\n"


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras_on_another_backend_is_refused(backend, tmp_path, monkeypatch, capsys):
    there = types.SimpleNamespace(backend=lambda: backend)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(backend=there))
    message = f"Keras, imported before, on {backend}. Use a new process, with"
    with pytest.raises(ValueError, match=message):
        keras_confusion.run_confusion_study(tmp_path / "study")
    with pytest.raises(ValueError, match=message):
        keras_confusion.run_prototype_study(tmp_path / "study")
    for name in ("build_model", "load_probe", "save_model", "PrototypeCallback"):
        with pytest.raises(ValueError, match=message):
            getattr(keras_confusion, name)
    assert list(tmp_path.iterdir()) == []
    # What a study found is read without Keras.
    assert callable(keras_confusion.open_study)
    assert callable(keras_confusion.write_report)
    # One line of a command.
    command = ["train", "--out", str(tmp_path / "model")]
    assert main.main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.slow
def test_messages_come_back_on_request():
    code = "from keras_confusion.execution import runtime; runtime.start_tensorflow()"
    assert "oneDNN" in run(code, TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_data_that_come_first_are_loaded_quietly():
    done = run("import keras_confusion\nkeras_confusion.load_dataset('planted')")
    assert done.stderr == ""


def test_what_was_held_back_is_shown_after_an_error():
    done = run(
        "import os\n"
        "from keras_confusion.execution import runtime\n"
        "try:\n"
        "    with runtime._native_stderr_held_back():\n"
        "        os.write(2, b'native words')\n"
        "        raise ImportError('no TensorFlow')\n"
        "except ImportError as error: print(error.__notes__)\n"
        "with runtime._native_stderr_held_back():\n"
        "    os.write(2, b'chatter')\n"
    )
    # Python shows notes below a traceback; of what becomes one line they are no part.
    assert done.stdout == "['native words']\n"
    assert done.stderr == ""


def test_second_start_changes_nothing():
    runtime.start_tensorflow(threads=7)
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == 1


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        ({"avx2", "avx512_bf16"}, "mixed_bfloat16"),
        ({"amx_bf16"}, "mixed_bfloat16"),
        ({"avx2", "avx512f"}, "float32"),
        (set(), "float32"),
    ],
)
def test_bfloat16_where_the_processor_has_it(flags, policy, monkeypatch):
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: flags)
    assert runtime.default_dtype_policy() == policy


def test_one_worker_per_core_without_a_gpu():
    assert runtime.num_gpus() == 0
    assert runtime.default_num_workers() >= 1
