"""What a shell offers after Tab, asked as argcomplete's shell function asks."""

import os
import subprocess
import sys

import pytest

from keras_confusion.cli import main

# A module that cannot be imported: completion must not wait for it.
NO_TENSORFLOW = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
COMMAND = f"{NO_TENSORFLOW}from keras_confusion import __main__; __main__.main()"


def offered(line, tmp_path):
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return answer.read_text().split("\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("keras-confusion pr", ["probe", "prototypes"]),
        ("keras-confusion  study --rep", ["--repeats"]),
        ("keras-confusion study --epochs 3 --recipe m", ["momentum"]),
        ("keras-confusion plan x --comp", ["--comparison"]),
        ("keras-confusion no_command --rep", [""]),
    ],
)
def test_words_that_a_shell_offers(line, expected, tmp_path):
    assert sorted(offered(line, tmp_path)) == expected


def test_every_command_is_offered(tmp_path):
    words = set(offered("keras-confusion ", tmp_path))
    assert main.COMMANDS.keys() <= words


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_completes_its_options(command, tmp_path):
    assert "--help" in offered(f"keras-confusion {command} --h", tmp_path)
