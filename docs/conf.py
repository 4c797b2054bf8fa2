"""The site: `make docs` builds these pages and those of the Python API.

The sources are the pages as they are in the repository, so that a link between two of
them leads to the same place here and there.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Wherever it is built: of this folder are the extension, and the package documented.
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]

import keras_confusion  # noqa: E402
from keras_confusion.execution import runtime  # noqa: E402

# Else it says a lot when it is imported.
runtime.start_tensorflow(threads=1, gpus=False)

project = "keras-confusion"
author = "The keras-confusion developers"
version = release = keras_confusion.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    # Markdown, and the tutorial.
    "myst_nb",
    "repository_pages",
]
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("benchmarks/README.md", "saved_models/README.md", "tb_plugin/http_api.md"),
    *("docs/*.md", "docs/*.ipynb", "docs/api/*.rst", "docs/results/**.md"),
]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "models",
    "probes",
    "sheets",
    "studies",
    "tests",
]

# What the pages at the side show, in this order; a page that is in none is an error.
site_contents = {
    "Start": [
        "Overview <self>",
        "Tutorial <docs/tutorial>",
        "docs/own_data_and_model",
        "docs/tensorboard",
        "docs/commands",
    ],
    "Studies": [
        "docs/confusion_study",
        "docs/prototype_study",
        "docs/explanations",
        "docs/validity",
        "docs/validity_tables",
    ],
    "Python": [
        "docs/api/studies",
        "docs/api/results",
        "docs/api/callback",
        "docs/api/planning",
        "docs/api/data_and_models",
        "docs/api/probing",
        "docs/api/errors",
    ],
    "Results": [
        "CIFAR-10: every pair <docs/results/confusion_cifar10/README>",
        "CIFAR-10: 20 repeats <docs/results/confusion_cifar10_20/README>",
        "CIFAR-10: 20 repeats, the plan <docs/results/confusion_cifar10_20/PLAN>",
        "CIFAR-10: prototypes <docs/results/prototypes_cifar10/README>",
        "CIFAR-10: prototypes that a person can read <docs/results/readable/README>",
        "Trained classifiers <saved_models/README>",
        "docs/results/validity/planted_truth",
        "Features: what is planted <docs/results/validity/learned_features>",
        "Features: CIFAR-10 <docs/results/validity/learned_features_cifar10>",
        "docs/results/validity/null_calibration",
        "docs/results/validity/simulated_studies",
        "docs/results/validity/power_per_hour",
        "Variance between networks <docs/results/validity/variance_digits>",
        "Benchmarks <docs/results/benchmarks/report>",
        "Benchmarks of prototypes <docs/results/benchmarks/prototypes>",
    ],
    "Where it runs": [
        "docs/gpu",
        "docs/cluster",
        "docs/performance",
        "docs/reliability",
        "SECURITY",
    ],
    "Development": [
        "docs/architecture",
        "CONTRIBUTING",
        "benchmarks/README",
        "tb_plugin/http_api",
        "CHANGELOG",
    ],
}

# Blocks of code without a language are commands.
highlight_language = "bash"
# `words` in docstrings: a link where they name something, else code.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
toc_object_entries_show_parents = "hide"

# As in Markdown on other sites: #how-to-cite is the heading "How to cite".
myst_heading_anchors = 4
# The tutorial holds what it printed and drew.
nb_execution_mode = "off"

html_theme = "sphinx_book_theme"
html_title = f"keras-confusion {version}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_js_files = [("copy_button.js", {"defer": "defer"})]
templates_path = ["site/templates"]
# The first page of a site has this name.
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
# Of hundreds of files: they need no table of contents each.
html_sidebars = {"source/**": ["navbar-logo.html", "search-button-field.html"]}
html_show_sphinx = False
# Dark where the reader's system is.
html_context = {"default_mode": "auto"}
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    # Search and the dark mode are at the side and above the page.
    **dict.fromkeys(
        ("navbar_start", "navbar_center", "navbar_end", "navbar_persistent"), []
    ),
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}
