import hashlib
import pathlib

import tb_plugin

VENDOR = pathlib.Path(tb_plugin.__file__).parent / "static" / "vendor"
MANIFEST = VENDOR / "MANIFEST.txt"


def test_third_party_files_are_those_of_the_manifest():
    lines = MANIFEST.read_text().splitlines()
    told = {line.split()[1]: line.split()[0] for line in lines if line[0] != "#"}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path != MANIFEST
    }
    assert found == told


def test_every_third_party_script_has_its_licence():
    for script in VENDOR.glob("*.js"):
        name = script.name.partition("-")[0]
        assert "Copyright" in (VENDOR / f"{name}-LICENSE.txt").read_text()
