import json
import time

import numpy as np
import pytest

from keras_confusion.reports.tensorboard.event_writer import RunWriter, strict_json


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


def test_new_file_sorts_after_those_before_it_whatever_the_clock_says(
    tmp_path, monkeypatch
):
    # Set back by a day, by 40 years, and forward again.
    times = [1_790_000_000, 1_789_913_600, 500_000_000, 5, 1_790_000_001]
    names = []
    for seconds in times:
        monkeypatch.setattr(time, "time_ns", lambda seconds=seconds: seconds * 10**9)
        RunWriter(tmp_path / "run").close()
        (path,) = (tmp_path / "run").iterdir()
        names.append(path.name)
    assert names == sorted(set(names))
    # TensorBoard knows them by this.
    assert all("tfevents" in name for name in names)


@pytest.mark.parametrize(
    "earlier",
    [
        "events.out.tfevents.1790000000.123456789.host",
        # At the end of a second, and as TensorFlow and older versions have it.
        "events.out.tfevents.9999999998.999999999.host",
        "events.out.tfevents.1990000000.host.17.0.v2",
        "events.out.tfevents.99999999999.5.host",
    ],
)
def test_new_file_sorts_after_any_name(earlier, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    (tmp_path / earlier).write_bytes(b"")
    RunWriter(tmp_path).close()
    (path,) = tmp_path.iterdir()
    assert path.name > earlier


def test_full_disk_says_which_file(tmp_path):
    writer = RunWriter(tmp_path / "run")
    writer._file.close()
    writer._file = writer._records._writer = open("/dev/full", "wb")  # noqa: SIM115
    writer.text("plugin/text", "x" * 10, 0)
    with pytest.raises(OSError, match="No space left") as error:
        writer.flush()
    assert error.value.filename == str(writer.path)
    with pytest.raises(OSError, match="No space left"):
        writer.close()
