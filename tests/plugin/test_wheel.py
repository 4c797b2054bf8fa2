"""The wheel, as a stranger installs it.

The plugin needs TensorBoard and no more; studies are run by `keras-confusion`.
"""

import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile

import pytest

import tb_plugin
from tb_plugin import metadata
from tests.support.tensorboard_process import tensorboard

REPOSITORY = pathlib.Path(__file__).parents[2]
PACKAGE = pathlib.Path(tb_plugin.__file__).parent
SECONDS_TO_RELOAD = 60

pytestmark = pytest.mark.slow


def run(*command, **options) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: setuptools would also pack what an old build folder holds.
    checkout = folder / "checkout"
    run("git", "clone", "--quiet", REPOSITORY, checkout)
    run(
        "git",
        "-C",
        REPOSITORY,
        "diff",
        "--binary",
        "HEAD",
        "--output",
        folder / "changes",
    )
    if (folder / "changes").stat().st_size:
        run("git", "-C", checkout, "apply", folder / "changes")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, checkout)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_every_file_of_the_packages(wheel):
    packages = ("keras_confusion", "tb_plugin")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.split("/")[0] in packages}
    tracked = subprocess.run(
        ["git", "ls-files", *packages], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.split()
    assert packed == set(tracked)
    assert {"tb_plugin/static/index.js", "keras_confusion/py.typed"} <= packed


def test_installed_wheel_runs_studies_and_serves_the_plugin(wheel, tmp_path):
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "tensorboard>=2.21")
    run(*pip, "--no-deps", wheel)
    # Not in the checkout, whose packages would be found first.
    outside = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": ""}}
    command = environment / "bin" / "keras-confusion"
    run(command, "demo", "logdir", **outside)
    imported = (
        "import sys, tb_plugin.plugin; sys.exit('keras_confusion' in sys.modules)"
    )
    run(python, "-c", imported, **outside)
    with tensorboard(tmp_path / "logdir", python=python) as address:
        plugins = json.loads(_get(f"{address}data/plugins_listing"))
        listed = plugins[metadata.PLUGIN_NAME]
        assert listed["tab_name"] == "Confusion"
        plugin = f"{address}data/plugin/{metadata.PLUGIN_NAME}"
        version = listed["loading_mechanism"]["module_path"].split("/")[-2]
        folder = f"{plugin}/static/{version}"
        static = PACKAGE / "static"
        for file in sorted(path for path in static.rglob("*") if path.is_file()):
            url = f"{folder}/{file.relative_to(static).as_posix()}"
            assert _get(url) == file.read_bytes(), url
        studies = json.loads(_get(f"{plugin}/studies"))["studies"]
        assert {study["kind"] for study in studies} == {"confusion", "prototypes"}
        assert all(study["error"] is None for study in studies)
        # What else the package needs is that of these tests, as if installed.
        (link,) = environment.glob("lib/python*/site-packages")
        (link / "needed.pth").write_text(sysconfig.get_path("purelib"))
        options = "--dataset digits --pairs 3-8 --repeats 2 --epochs 1"
        run(command, "study", *options.split(), "--out", "logdir/mine", **outside)
        study = json.loads((tmp_path / "logdir" / "mine" / "study.json").read_text())
        # That of the wheel, not of a checkout.
        assert study["provenance"]["commit"] is None
        assert (tmp_path / "logdir/mine/tables/target_by_pair.csv").is_file()
        deadline = time.monotonic() + SECONDS_TO_RELOAD
        while len(studies) < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
            studies = json.loads(_get(f"{plugin}/studies"))["studies"]
        assert len(studies) == 3
        assert all(study["error"] is None for study in studies)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read()
