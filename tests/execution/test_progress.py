import io
import re
import sys

import pytest
import tqdm

from keras_confusion.execution import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(tqdm.std, "time", lambda: Clock.now)
    return Clock


def test_lines_now_and_then_where_there_is_no_terminal(clock):
    stream = io.StringIO()
    shown = progress.Progress(60, done=10, unit="networks", stream=stream)
    for done in range(11, 61):
        clock.now += 3.0
        shown.show(done)
    shown.close()
    lines = stream.getvalue().splitlines()
    # 150 seconds, a line at most every ten.
    assert 10 <= len(lines) <= 16
    assert "\r" not in stream.getvalue()
    # Networks that were there before do not count for the rate.
    assert re.match(r" *23% 14/60 networks, 20\.0 a minute", lines[0])
    assert "00:12 elapsed, 02:18 left" in lines[0]
    assert lines[-1] == (
        "100% 60/60 networks, 20.0 a minute [02:30 elapsed, 00:00 left]"
    )


def test_what_is_done_in_no_time_is_a_single_line():
    stream = io.StringIO()
    shown = progress.Progress(2, done=0, unit="images", stream=stream)
    shown.show(1)
    shown.show(2)
    assert stream.getvalue() == ""
    shown.close()
    shown.close()
    assert re.fullmatch("100% 2/2 images, .* left]\n", stream.getvalue())


def test_nothing_new_is_no_line():
    stream = io.StringIO()
    shown = progress.Progress(2, done=1, unit="images", stream=stream)
    shown.close()
    assert stream.getvalue() == ""


def test_bar_on_a_terminal():
    stream = Terminal()
    shown = progress.Progress(4, done=1, unit="networks", stream=stream)
    for done in (2, 3, 4):
        shown.show(done)
    shown.note("a worker was killed")
    shown.close()
    last = stream.getvalue().rstrip().split("\r")[-1]
    assert "4/4 networks" in last
    assert "a minute" in last
    assert "a worker was killed\n" in stream.getvalue()


def test_notes_are_lines_of_their_own():
    stream = io.StringIO()
    shown = progress.Progress(4, done=0, unit="networks", stream=stream)
    shown.note("retried")
    assert stream.getvalue() == "retried\n"


@pytest.mark.parametrize(
    ("verbose", "stream", "is_shown"),
    [
        ("auto", Terminal(), True),
        ("auto", io.StringIO(), False),
        (0, Terminal(), False),
        (1, io.StringIO(), True),
    ],
)
def test_verbose_says_who_is_shown_how_far_it_is(verbose, stream, is_shown):
    shown = progress.Progress(
        2, done=0, unit="networks", verbose=verbose, stream=stream
    )
    shown.show(2)
    # What went wrong is told to everybody.
    shown.note("retried")
    shown.close()
    assert ("2/2 networks" in stream.getvalue()) == is_shown
    assert "retried\n" in stream.getvalue()


def test_auto_shows_a_bar_in_a_notebook(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", io)
    shown = progress.Progress(2, done=0, unit="networks", verbose="auto", stream=stream)
    shown.show(2)
    shown.close()
    assert "|##" in stream.getvalue() or "|█" in stream.getvalue()


def test_other_values_of_verbose_are_refused():
    with pytest.raises(ValueError, match="Expected `verbose`.* Received: 2"):
        progress.check_verbose(2)
