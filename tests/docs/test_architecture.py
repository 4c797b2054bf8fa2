"""The picture of the packages shows what the imports say."""

import xml.etree.ElementTree

import matplotlib
import pytest

from docs import draw_architecture
from docs.draw_architecture import PICTURE, PLUGIN
from tests.test_layers import FLOOR, LAYERS

DESCRIPTION = ".//{http://purl.org/dc/elements/1.1/}description"
TEXT = ".//{http://www.w3.org/2000/svg}text"


def test_the_picture_shows_what_the_imports_say():
    # The sentences that were drawn, which no version of Matplotlib draws differently.
    kept = xml.etree.ElementTree.parse(PICTURE).findtext(DESCRIPTION)
    assert kept == draw_architecture.in_words(), "Run: python -m docs.draw_architecture"


def test_every_package_is_a_box_in_the_picture():
    root = xml.etree.ElementTree.parse(PICTURE).getroot()
    texts = ["".join(text.itertext()) for text in root.iterfind(TEXT)]
    assert {*FLOOR, PLUGIN} <= set(texts)


def test_arrows_by_hand():
    every = draw_architecture.arrows()
    assert ("reports", PLUGIN) in every
    assert ("training", "models") in every
    assert ("models", "training") not in every
    assert all(FLOOR[a] < FLOOR[b] for a, b in every if b != PLUGIN)


@pytest.mark.parametrize(
    ("every", "shown"),
    [
        ("ab bc ac", "ab bc"),
        ("ab bc cd ad bd", "ab bc cd"),
        ("ab ac bd cd", "ab ac bd cd"),
    ],
)
def test_what_follows_from_other_arrows_is_left_out(every, shown):
    arrows = [tuple(arrow) for arrow in every.split()]
    assert draw_architecture.shown(arrows) == [tuple(arrow) for arrow in shown.split()]


def test_nothing_in_the_picture_overlaps():
    with matplotlib.rc_context(draw_architecture.STYLE):
        figure = draw_architecture.draw()
        figure.draw_without_rendering()
    (axes,) = figure.axes
    texts = [(text.get_text(), text.get_window_extent()) for text in axes.texts]
    for number, (text, box) in enumerate(texts):
        assert box.x0 > 0, text
        assert box.x1 < figure.bbox.x1, text
        for other, place in texts[:number]:
            assert not box.overlaps(place), (text, other)
    assert len(texts) > 3 * sum(map(len, LAYERS))
