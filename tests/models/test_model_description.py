import pytest

from keras_confusion.models import model_description
from keras_confusion.storage import sealed_json


@pytest.fixture
def model(tmp_path):
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    for name in ("model.keras", "saved_model/saved_model.pb"):
        (tmp_path / name).write_bytes(b"weights of " + name.encode())
    (tmp_path / "saved_model/variables/variables.index").write_bytes(b"")
    hashes = model_description.hashes(tmp_path)
    assert len(hashes) == 3
    sealed_json.write(tmp_path / "model.json", {"files_sha256": hashes})
    return tmp_path


def test_whole_model_has_no_damage(model):
    assert model_description.find_damage(model) is None


@pytest.mark.parametrize(
    "name", ["model.keras", "saved_model/variables/variables.index", "model.json"]
)
def test_every_file_is_looked_at(name, model):
    content = (model / name).read_bytes()
    (model / name).write_bytes(content + b"x")
    assert f"{name} is damaged" in model_description.find_damage(model)
    (model / name).unlink()
    assert f"{name} is missing" in model_description.find_damage(model)


def test_who_needs_a_part_looks_at_that(model):
    (model / "model.keras").unlink()
    assert model_description.find_damage(model, below="saved_model/") is None
    (model / "saved_model/saved_model.pb").write_bytes(b"")
    damage = model_description.find_damage(model, below="saved_model/")
    assert "saved_model.pb is damaged" in damage


def test_models_without_checksums_are_taken_as_they_are(model):
    (model / "model.json").write_text('{"class_names": ["cat", "dog"]}')
    (model / "model.keras").write_bytes(b"other")
    assert model_description.find_damage(model) is None
