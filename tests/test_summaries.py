import json

import numpy as np

from keras_confusion.summaries import RunWriter, strict_json


def test_what_is_written_is_what_tensorboard_reads(tmp_path, read_plugin_data, rng):
    arrays = {
        "float64": rng.random((2, 3)),
        "float32": rng.random((2, 3), np.float32),
        "float16": rng.random((2, 3)).astype(np.float16),
        "int64": np.array([3, -1]),
        "one": np.array([np.nan]),
    }
    writer = RunWriter(tmp_path / "a" / "run")
    for name, array in arrays.items():
        writer.tensor(f"plugin/{name}", array, 7)
    writer.blobs("plugin/files", [b"\x00\xff", b""], 1)
    writer.blobs("plugin/files", [b"more"], 2)
    writer.text("plugin/text", "naïve 猫", 0)
    writer.close()
    found = read_plugin_data(tmp_path, "a/run")
    for name, array in arrays.items():
        read = found[f"plugin/{name}"][7]
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
    assert found["plugin/files"] == {1: [b"\x00\xff", b""], 2: [b"more"]}
    assert found["plugin/text"][0].tolist() == ["naïve 猫".encode()]


def test_a_run_has_one_file(tmp_path, read_plugin_data):
    for value in (1, 2):
        writer = RunWriter(tmp_path / "run")
        writer.tensor("plugin/value", np.array([value]), value)
        writer.close()
    assert len(list((tmp_path / "run").iterdir())) == 1
    assert list(read_plugin_data(tmp_path, "run")["plugin/value"]) == [2]


def test_strict_json_has_no_numbers_of_its_own():
    text = strict_json({"rate": float("inf"), "deep": [{"x": (1.5, float("nan"))}]})

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {
        "rate": None,
        "deep": [{"x": [1.5, None]}],
    }
