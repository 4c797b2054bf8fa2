import json
import pathlib

import pytest
from tensorboard.backend.event_processing import event_accumulator

from tb_plugin import demo, metadata


def test_demo_is_a_logdir_with_both_kinds_of_study(tmp_path):
    for path in demo.write_demo(tmp_path / "logdir"):
        accumulator = event_accumulator.EventAccumulator(str(path.parent))
        accumulator.Reload()
        tags = accumulator.PluginTagToContent(metadata.PLUGIN_NAME)
        assert metadata.TAG_STUDY in tags
        # Recorded by this version or an earlier one, which is read all the same.
        (version,) = {json.loads(content)["version"] for content in tags.values()}
        assert 1 <= version <= metadata.SCHEMA_VERSION


def test_demo_overwrites_nothing(tmp_path, capsys):
    assert demo.main([str(tmp_path)]) == 0
    assert "tensorboard --logdir" in capsys.readouterr().out
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")}
    assert demo.main([str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    now = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")}
    assert now == files
    with pytest.raises(FileExistsError):
        demo.write_demo(tmp_path)


def test_demo_says_nothing_of_the_machine_that_recorded_it():
    folder = pathlib.Path(demo.__file__).parent / "demo_data"
    for path in folder.iterdir():
        assert not any(word in path.read_bytes() for word in (b"/home/", b"/tmp/"))
