import os
import pty
import signal
import subprocess
import sys

import pytest

CODE = """
from keras_confusion.cli import startup
startup.prepare()
import os, sys, time
{work}
"""


def start(work, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CODE.replace("{work}", work)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **({"stderr": subprocess.PIPE} | options),
    )


def test_ctrl_c_before_the_work_begins_is_one_line():
    process = start("print('there', flush=True)\nfor _ in range(99): time.sleep(1)")
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "\nStopped before it began.\n"
    assert process.returncode == 130


def test_nothing_slow_is_imported_before():
    work = "print([name for name in ('numpy', 'argparse') if name in sys.modules])"
    assert start(work).communicate()[0] == "[]\n"


TALK = (
    "for _ in range(9): print('a message', file=sys.stderr, flush=True)\nprint('done')"
)


@pytest.mark.parametrize("where", ["full", "gone", "a terminal that hung up"])
def test_messages_that_nobody_receives_cost_nothing(where):
    reader, writer = os.pipe() if where != "a terminal that hung up" else pty.openpty()
    if where == "full":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    os.close(reader)
    process = start(TALK, stderr=writer)
    os.close(writer)
    assert process.communicate()[0] == "done\n"
    assert process.returncode == 0


def test_streams_that_are_closed_lead_nowhere(tmp_path):
    # The next file must not get the number of standard error.
    work = f"{TALK}\nprint(os.open({str(tmp_path / 'file')!r}, os.O_CREAT) > 2)"
    command = [sys.executable, "-c", CODE.replace("{work}", work)]
    shell = f'exec "$@" <&- 2>&- >"{tmp_path / "out"}"'
    done = subprocess.run(["sh", "-c", shell, "sh", *command], check=False)
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "done\nTrue\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_the_encoding_lacks_is_a_question_mark(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    process = start(r"print('a \u2192 b')", env=environment)
    assert process.communicate()[0] == "a ? b\n"
    assert process.returncode == 0
