import re
import shutil

import pytest

import keras_confusion
from keras_confusion.execution import provenance


@pytest.fixture(autouse=True)
def asked_again():
    provenance._commit.cache_clear()
    yield
    provenance._commit.cache_clear()


def test_code_of_a_checkout_has_its_commit():
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    commit = provenance.provenance()["commit"]
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    version = f"{keras_confusion.__version__} ({commit[:12]})"
    assert provenance.code_version() == version


def test_code_without_git_is_a_version_alone(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert provenance.provenance()["commit"] is None
    assert provenance.code_version() == keras_confusion.__version__
