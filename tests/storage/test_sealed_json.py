import json

import pytest

from keras_confusion.storage import sealed_json

DESCRIPTION = {"settings": {"pairs": [(0, 1)], "rate": 0.1, "none": None}, "n": ["ä"]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.json"
    sealed_json.write(path, DESCRIPTION)
    return path


def test_description_comes_back_as_json_has_it(file):
    assert sealed_json.read(file) == json.loads(json.dumps(DESCRIPTION))
    assert sealed_json.is_sealed(file)
    # A description that was read is written again as it is.
    sealed_json.write(file, json.loads(file.read_text()))
    assert sealed_json.read(file) == json.loads(json.dumps(DESCRIPTION))


def test_no_bit_may_be_turned_unnoticed(file):
    content = file.read_bytes()
    expected = sealed_json.read(file)
    found = 0
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            read = sealed_json.read(file)
        except sealed_json.DamagedJSONError:
            found += 1
            continue
        # White space, or the name of the checksum: then it is one more key.
        assert read.items() >= expected.items()
    assert found > 0.75 * 8 * len(content)


def test_no_length_but_the_whole_is_taken(file):
    content = file.read_bytes().rstrip()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(sealed_json.DamagedJSONError):
            sealed_json.read(file)


def test_order_and_spaces_are_nobodys_business(file):
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(stored.items()))))
    assert sealed_json.read(file) == json.loads(json.dumps(DESCRIPTION))


def test_files_without_a_checksum_are_taken_as_they_are(file):
    stored = json.loads(file.read_text())
    changed = stored | {"n": []}
    file.write_text(json.dumps(changed))
    with pytest.raises(sealed_json.DamagedJSONError, match="delete its"):
        sealed_json.read(file)
    del changed[sealed_json.SEAL]
    file.write_text(json.dumps(changed))
    assert sealed_json.read(file)["n"] == []
    assert not sealed_json.is_sealed(file)
