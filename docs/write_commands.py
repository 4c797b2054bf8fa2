#!/usr/bin/env python3
"""Writes docs/commands.md: every command with its options, as --help prints them.

python docs/write_commands.py
"""

import argparse
import os
import pathlib
import subprocess
import sys

DOCS = pathlib.Path(__file__).parent
COLUMNS = "80"
# The same without an installed package: what Python is given. What it does, an example.
COMMANDS = {
    "study": (
        "scripts/run_confusion_study.py",
        """\
Trains networks that confuse pairs of classes, and networks that do not, and reports
whose accuracy moved ([definitions](confusion_study.md)).""",
        """\
keras-confusion study --dataset digits --pairs 2-4 3-8 \\
    --repeats 8 --epochs 4 --out studies/digits_pairs""",
    ),
    "prototypes": (
        "scripts/run_prototype_study.py",
        """\
Trains one network and optimises images into what it takes for its classes, at several
intervals of the training ([definitions](prototype_study.md)).""",
        """\
keras-confusion prototypes --dataset digits --epochs 12 \\
    --prototype-learning-rate 0.1 --inits 2 --out studies/few_prototypes""",
    ),
    "analyse": (
        "scripts/analyse_study.py",
        """\
Makes tables, figures and TensorBoard's data of a study of either kind again, without
training; also of a study that is still running.""",
        "keras-confusion analyse studies/digits_pairs --test paired",
    ),
    "judge": (
        "scripts/judge_prototypes.py",
        """\
Asks other networks what they take the prototypes of a study for, and measures what is
left of the origins ([each number](prototype_study.md#can-others-read-them)).""",
        """\
keras-confusion judge studies/few_prototypes models/digits_cnn""",
    ),
    "blind-sheet": (
        "scripts/make_blind_sheet.py",
        """\
Mixes prototypes of studies with real images, without labels, for a person to name, and
scores the answers ([how](prototype_study.md#can-a-person-read-them)).""",
        """\
keras-confusion blind-sheet studies/few_prototypes --out sheets/few""",
    ),
    "plan": (
        "scripts/plan_study.py",
        """\
Says how many repeats a confusion study needs, from a small one that was run
([how](confusion_study.md#how-many-repeats)).""",
        "keras-confusion plan studies/planted --effect 0.1 --comparison pair",
    ),
    "train": (
        "scripts/train_classifier.py",
        """\
Trains one classifier and saves it with its test accuracy, to be probed
([two come with the repository](../saved_models/README.md)).""",
        """\
keras-confusion train --dataset digits --out models/digits_cnn""",
    ),
    "probe": (
        "scripts/probe_saved_model.py",
        """\
Shows what a saved classifier takes for two classes, and the image on the boundary
between them; needs the SavedModel and no data.""",
        """\
keras-confusion probe models/digits_cnn --from 3 --to 8 \\
    --out probes/3_to_8""",
    ),
    "explain": (
        "scripts/explain_generalization.py",
        """\
Finds the units through which a class gains or loses where a pair is confused, and shows
what they respond to ([how, and how far to trust it](explanations.md)).""",
        """\
keras-confusion explain studies/digits_pairs --target 9 --pair 2-4""",
    ),
    "demo": (
        "-m tb_plugin.demo",
        """\
Writes two recorded studies of the digits, to look around in TensorBoard
([a tour](tensorboard.md)). `python -m tb_plugin.demo demo_logdir` needs TensorBoard and
nothing else.""",
        "keras-confusion demo demo_logdir",
    ),
}
HEAD = """\
# Every command

Ten commands, with their options as `--help` prints them. pip installs them as
`keras-confusion`; `python -m keras_confusion` is the same, and in a checkout all but
the last have a script. This page is written by `python docs/write_commands.py`, and a
test compares it with the commands.

A study that is stopped goes on with the same command; `train` and `probe` begin again.
A command ends with 0, with 1 after an error, with one message, with 2 where it does not
know an option, and with 130 after Ctrl-C.

Tab completes commands, options and their values in bash and zsh:
`pip install argcomplete`, and in the shell's start file
`eval "$(register-python-argcomplete keras-confusion)"`.
"""


def help_of(command: str) -> str:
    """What `--help` prints of a command, 80 columns wide."""
    # As its installed program does, of this checkout.
    code = "from keras_confusion import __main__; __main__.main()"
    return subprocess.run(
        [sys.executable, "-c", code, command, "--help"],
        cwd=DOCS.parent,
        env={**os.environ, "COLUMNS": COLUMNS},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for command, (door, what, example) in COMMANDS.items():
        # Without arguments it is no command, which a test would run.
        also = f"\nIn a checkout: `{door}`." if door.startswith("scripts") else ""
        parts.append(
            f"## {command}\n{what}{also}\n\n"
            f"```\n{example}\n```\n\n```text\n{help_of(command)}```\n"
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
