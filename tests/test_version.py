"""The version stands in three places, and is the same in each."""

import pathlib
import re

import keras_confusion

ROOT = pathlib.Path(__file__).parents[1]


def test_citation_has_the_version_of_the_package():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", text, re.M) == [keras_confusion.__version__]


def test_changelog_begins_with_the_version_of_the_package():
    text = (ROOT / "CHANGELOG.md").read_text()
    first = re.search(r"^## \[(.+)\] - (\d{4}-\d\d-\d\d|Unreleased)$", text, re.M)
    assert first is not None
    assert first[1] == keras_confusion.__version__
