"""The site that `make docs` builds: every page, every public name, no dead link."""

import html
import pathlib
import re
import subprocess
import sys
import urllib.parse
import zlib

import pytest

import keras_confusion
from keras_confusion.reports import results

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = (results.ConfusionResults, results.PrototypeResults)
LINK = re.compile(r'(?:href|src)="([^"]+)"')

pytestmark = pytest.mark.slow


def build(folder):
    sphinx = (sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going")
    done = subprocess.run(
        [*sphinx, "-c", "docs", "-d", folder / "doctrees", ".", folder / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    # Which says, too, what is in no table of contents.
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return build(tmp_path_factory.mktemp("site"))


def documented_names(site):
    """What the site's inventory lists, after four lines of heading."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(content).decode().splitlines()}


def test_every_page_is_on_the_site(site):
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / "docs").glob("*.ipynb")
    assert len(pages) > 20
    for page in pages:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).is_file(), page


def test_every_public_name_is_documented(site):
    documented = documented_names(site)
    public = {f"keras_confusion.{name}" for name in keras_confusion.__all__}
    for made in RESULTS:
        home = f"{made.__module__}.{made.__name__}"
        public |= {f"{home}.{name}" for name in vars(made) if name[0] != "_"}
    assert "keras_confusion.reports.results.ConfusionResults.findings" in public
    assert public <= documented


def test_settings_say_what_they_do(site):
    page = (site / "docs" / "api" / "studies.html").read_text()
    assert "what its first layers make of images" in page


def test_sentences_with_colons_stay_whole(site):
    page = (site / "docs" / "api" / "results.html").read_text()
    assert "One row a network:\nwhat it was trained with" in page


def pages_of(site):
    """Text by path, without the theme's own files."""
    pages = (page for page in site.rglob("*.html") if "_static" not in page.parts)
    return {page.resolve(): page.read_text() for page in pages}


def test_links_lead_somewhere(site):
    pages = pages_of(site)
    places = {page: set(re.findall(r'\bid="([^"]+)"', pages[page])) for page in pages}
    number = 0
    for page, text in pages.items():
        for link in LINK.findall(text):
            address = urllib.parse.urlsplit(html.unescape(link))
            if address.scheme or address.netloc:
                continue
            path, place = map(urllib.parse.unquote, (address.path, address.fragment))
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page}: {link}"
            if place and target in places:
                assert place in places[target], f"{page}: {link}"
                number += 1
    assert number > 1000


def test_source_files_are_shown(site):
    shown = site / "source" / "keras_confusion" / "stats"
    listed = shown.with_suffix(".html").read_text()
    assert 'href="stats/t_tests.py.html"' in listed
    assert "def" in (shown / "t_tests.py.html").read_text()


def test_nothing_is_loaded_from_elsewhere(site):
    for page, text in pages_of(site).items():
        assert not re.search(r'<(script|img)[^>]* src="(https?:)?//', text), page
        assert not re.search(r'<link[^>]* href="(https?:)?//', text), page
