#!/usr/bin/env python3
"""Writes docs/commands.md: every script with its options, as --help prints them.

python docs/write_commands.py
"""

import argparse
import os
import pathlib
import subprocess
import sys

DOCS = pathlib.Path(__file__).parent
COLUMNS = "80"
# What each does, and an example.
SCRIPTS = {
    "run_confusion_study": (
        """\
Trains networks that confuse pairs of classes, and networks that do not, and reports
whose accuracy moved ([definitions](confusion_study.md)).""",
        """\
python scripts/run_confusion_study.py --dataset digits --pairs 2-4 3-8 \\
    --repeats 8 --epochs 4 --out studies/digits_pairs""",
    ),
    "run_prototype_study": (
        """\
Trains one network and optimises images into what it takes for its classes, at several
intervals of the training ([definitions](prototype_study.md)).""",
        """\
python scripts/run_prototype_study.py --dataset digits --epochs 12 \\
    --prototype-learning-rate 0.1 --inits 2 --out studies/few_prototypes""",
    ),
    "analyse_study": (
        """\
Makes tables, figures and TensorBoard's data of a study of either kind again, without
training; also of a study that is still running.""",
        "python scripts/analyse_study.py studies/digits_pairs --test paired",
    ),
    "plan_study": (
        """\
Says how many repeats a confusion study needs, from a small one that was run
([how](confusion_study.md#how-many-repeats)).""",
        "python scripts/plan_study.py studies/planted --effect 0.1 --comparison pair",
    ),
    "train_classifier": (
        """\
Trains one classifier and saves it with its test accuracy, to be probed
([two come with the repository](../saved_models/README.md)).""",
        """\
python scripts/train_classifier.py --dataset digits --out models/digits_cnn""",
    ),
    "probe_saved_model": (
        """\
Shows what a saved classifier takes for two classes, and the image on the boundary
between them; needs the SavedModel and no data.""",
        """\
python scripts/probe_saved_model.py models/digits_cnn --from 3 --to 8 \\
    --out probes/3_to_8""",
    ),
    "explain_generalization": (
        """\
Finds the units through which a class gains or loses where a pair is confused, and shows
what they respond to ([how, and how far to trust it](explanations.md)).""",
        """\
python scripts/explain_generalization.py studies/digits_pairs --target 9 --pair 2-4""",
    ),
}
HEAD = """\
# Every command

Seven scripts, with their options as `--help` prints them. This page is written by
`python docs/write_commands.py`, and a test compares it with the scripts. A study that
is stopped goes on with the same command; `train_classifier` and `probe_saved_model`
begin again. A script ends with 0, with 1 after an error, with one message,
with 2 where it does not know an option, and with 130 after Ctrl-C.
"""


def help_of(script: str) -> str:
    """What `--help` prints of a script, 80 columns wide."""
    return subprocess.run(
        [sys.executable, DOCS.parent / "scripts" / f"{script}.py", "--help"],
        env={**os.environ, "COLUMNS": COLUMNS},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for script, (what, example) in SCRIPTS.items():
        parts.append(
            f"## {script}\n{what}\n\n```\n{example}\n```\n\n"
            f"```text\n{help_of(script)}```\n"
        )
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=DOCS / "commands.md",
        metavar="FILE.md",
        help="(default: docs/commands.md)",
    )
    parser.parse_args().out.write_text(page())


if __name__ == "__main__":
    main()
