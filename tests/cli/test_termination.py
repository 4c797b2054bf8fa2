import signal
import subprocess
import sys
import time

import pytest

from keras_confusion.cli import exit_codes

# A command that meets SIGTERM in one way or the other.
COMMAND = """
import ctypes, sys, threading, time
from keras_confusion.cli import exit_codes

exit_codes.SECONDS_TO_LEAVE = {seconds}

def wait():
    while True:
        time.sleep(0.05)

def swallow():
    try:
        wait()
    except BaseException:
        return 0

def fail():
    try:
        wait()
    finally:
        raise RuntimeError("on the way out")

def compute():
    # No Python runs meanwhile, as in a long operation of TensorFlow: a lock that is
    # taken twice, which no signal interrupts.
    c, lock = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    c.pthread_mutex_init(lock, None)
    c.pthread_mutex_lock(lock)
    c.pthread_mutex_lock(lock)

def compute_and_wait():
    try:
        wait()
    finally:
        time.sleep(5)

def leave_thread():
    threading.Thread(target=wait).start()
    wait()

def work():
    print("ready", flush=True)
    return {names}[sys.argv[1]]()

sys.exit(exit_codes.exit_code(work))
""".replace("{names}", "globals()")

# Of the two that are ended: less than users have, who would wait as long.
SECONDS_TO_LEAVE = 2


def start(way, seconds=exit_codes.SECONDS_TO_LEAVE):
    command = COMMAND.replace("{seconds}", str(seconds))
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", command, way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal, also where these tests are a shell's background job.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


@pytest.mark.parametrize("way", ["wait", "swallow", "fail"])
def test_sigterm_is_left_by_like_ctrl_c(way):
    process = start(way)
    process.send_signal(signal.SIGTERM)
    # A second one, from whoever has no patience, does not disturb.
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 143
    assert told == "\nStopped. The same command goes on with what is missing.\n"


@pytest.mark.parametrize("way", ["wait", "swallow", "fail"])
def test_ctrl_c_is_one_line_whatever_is_made_of_it(way):
    process = start(way)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told == "\nStopped. The same command goes on with what is missing.\n"


def test_ctrl_c_again_ends_at_once():
    process = start("compute_and_wait")
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    while time.monotonic() - begun < 4 and process.poll() is None:
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Stopped. The same command goes on" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("way", "number"),
    [
        ("compute", signal.SIGTERM),
        ("compute", signal.SIGINT),
        ("leave_thread", signal.SIGTERM),
    ],
)
def test_who_does_not_leave_is_ended(way, number):
    process = start(way, SECONDS_TO_LEAVE)
    begun = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert SECONDS_TO_LEAVE / 2 <= time.monotonic() - begun < SECONDS_TO_LEAVE + 3
    assert process.returncode == 128 + number
    assert told == "\nStopped. The same command goes on with what is missing.\n"


def test_processes_are_ended_before_docker_would():
    assert 1.5 * exit_codes.SECONDS_TO_LEAVE < 10


def test_handlers_are_those_of_before():
    def handler(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with exit_codes.leaving_on_signals(""):
            assert signal.getsignal(signal.SIGTERM) is not handler
        assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.set_wakeup_fd(-1) == -1
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with exit_codes.leaving_on_signals(""):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
