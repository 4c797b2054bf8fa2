"""The page on the poster's findings: its tables, and every number of its sentences.

A number in a sentence has to be in one of the phrases that are made here out of the
study, or in one of `GIVEN`; and every phrase has to be on the page. To write another
number on the page, add its phrase.
"""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import scipy.stats

from benchmarks.validity import poster_sizes, poster_study
from benchmarks.validity.poster_study import BY_CLASS, BY_PAIR
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.stats import t_tests
from tests.support.docs_pages import ROOT

STUDY = ROOT / "docs" / "results" / "confusion_cifar10"
PAGE = (STUDY / "README.md").read_text()
TABLE = re.compile(r"<!-- table: (.*) -->\n((?:\|.*\n)*)<!-- end -->")
PLAIN, WITHOUT = "`accuracy`", "`accuracy_without_pair`"
# What the poster says, what the study was meant to be, and what is agreed on.
GIVEN = (
    "CIFAR-10",
    "50 times each",
    "0.025 bits",
    "20 baseline networks in mind",
    "95 % confidence",
    "Below 0",
    "above 0",
    "below 0",
    "add up to 0",
    "q ≤ 0.05",
    "p ≤ 0.05",
    "20 repeats or more",
    "t = −2.78 (p < 0.01) and t = 2.116 (p < 0.05)",
    "50 networks in both groups",
    "4 and 6 classes",
    "index is 1 if",
    "and 0 by chance",
    "n1 + n2 − 2",
    "pass 1 where",
    "80 of 100",
    "for 50 repeats",
)
NUMBER = re.compile(
    r"\d|\b(three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|hundred)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def phrases():
    tables = {name: rows(text) for name, text in TABLE.findall(PAGE)}
    return [
        *phrases_of_study(poster_study.read(STUDY)),
        *phrases_of_cells(tables),
        *phrases_of_blocks(tables),
        *phrases_of_freedom(tables),
        *phrases_of_sizes(tables),
    ]


def rows(table):
    """A table of the page, which the first test compares with the program's."""
    head, _, *body = (line.strip("| ").split(" | ") for line in table.splitlines())
    return [dict(zip(head, values, strict=True)) for values in body]


def sentences(page):
    """The page without tables, code blocks and the targets of links, as one line."""
    page = TABLE.sub("", page)
    page = re.sub(r"^    .*$", "", page, flags=re.MULTILINE)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", page).split())


def errors(page, phrases):
    """Phrases that the page lacks, and numbers that are in none of them."""
    text = left = sentences(page)
    missing = [phrase for phrase in phrases if phrase not in text]
    for phrase in sorted([*phrases, *GIVEN], key=len, reverse=True):
        left = left.replace(phrase, " * ")
    unknown = [
        left[max(m.start() - 40, 0) : m.end() + 20] for m in NUMBER.finditer(left)
    ]
    return missing + unknown


def one(table, *first):
    """The row that begins with these values."""
    (row,) = [row for row in table if tuple(row.values())[: len(first)] == first]
    return row


def phrases_of_study(measured):
    study = measured.study
    settings = json.loads((STUDY / "study.json").read_text())["settings"]
    confused, baselines = len(study.confused_seed), len(study.baseline_seed)
    accuracy = study.baseline.accuracy @ study.prior
    class_sd = 100 * study.baseline.accuracy.std(axis=0, ddof=1).mean()
    by_class, by_pair = (
        [measured.rows(comparison, response) for response in RESPONSES]
        for comparison in (BY_CLASS, BY_PAIR)
    )
    within = [
        comparison_findings.correlation_within_repeats(pd.concat(rows))
        for rows in (by_class, by_pair)
    ]
    repeats = measured.num_repeats
    t_alone = scipy.stats.t.isf(0.05 / len(by_class[0]) / 2, 98)
    share = study.baseline.accuracy.mean()
    # The falls whose bits are the poster's, to the digits of the page.
    kl, entropy = 9.09, 2.78
    for reading, fall in ((t_tests.kl_bits, kl), (t_tests.entropy_bits, entropy)):
        low, high = (reading(share, share - (fall + d) / 100) for d in (-0.005, 0.005))
        assert low < 0.025 < high
    return [
        f"{len(study.pairs)} pairs, {repeats} repeats, {confused + baselines} networks",
        f"(n = {repeats} repeats), ",
        f"{settings['epochs']} epochs, recipe `{settings['recipe']}`, "
        f"`{settings['dtype_policy']}`",
        f"{confused} confused and {baselines} baseline networks",
        f"ended with {baselines}, which",
        f"accuracy {accuracy.mean():.3f} (sd {accuracy.std(ddof=1):.3f}, "
        f"n = {len(accuracy)})",
        f"has an sd of {class_sd:.1f} points",
        f"over {len(by_class[0])} cells of target x class, or {len(by_pair[0])} third",
        f"{within[0]:.2f} in target x class, {within[1]:.2f} in target x pair",
        f"test of {by_pair[0]['n_confused'].max()} networks against "
        f"{by_pair[0]['n_comparison'].max()} calls",
        f"these {len(study.prior)} classes",
        f"two of the {repeats} repeats",
        f"a t of {t_alone:.2f} or −{t_alone:.2f}",
        f"accuracy of {share:.3f}, 0.025 bits are a fall by {kl} points under `kl_bits`"
        f", and by {entropy} under",
        f"differ as these do, and {poster_sizes.POSTER_BASELINE} baselines",
    ]


def phrases_of_cells(tables):
    cells, pairs = tables["claimed cells"], tables["claimed pairs"]
    title = "difference (95 % CI)"
    gains = [
        one(cells, *cell, PLAIN, test)
        for test in ("welch", "moderated", "paired")
        for cell in (("automobile", "truck"), ("truck", "automobile"))
    ]
    car, truck = (
        one(cells, *cell, WITHOUT, "welch")
        for cell in (("automobile", "truck"), ("truck", "automobile"))
    )
    frog, frog_welch, frog_left = (
        one(cells, "frog", "automobile", *which)
        for which in ((PLAIN, "moderated"), (PLAIN, "welch"), (WITHOUT, "welch"))
    )
    by_frog, by_frog_left = (
        one(cells, "automobile", "frog", response, "welch")
        for response in (PLAIN, WITHOUT)
    )
    below = [
        one(pairs, *cell, response)["below 0"]
        for response in (PLAIN, WITHOUT)
        for cell in (("automobile", "truck"), ("truck", "automobile"))
    ]
    # In words: which tests find the gains, and that no pair is found without the pair.
    largest_q = max(gains[:4], key=lambda row: float(row["q"]))["q"]
    assert float(largest_q) <= 0.05 < min(float(row["q"]) for row in gains[4:])
    assert below[:2] == ["0 of 8", "0 of 8"]
    for row in pairs:
        if row["response"] == WITHOUT:
            assert row["found moderated / paired / welch"] == "0 / 0 / 0"
    large = tables["large t"]
    chance = [row["cells of 90 by chance alone"] for row in large]
    return [
        f"automobiles {gains[0][title]} points, trucks {gains[1][title]}.",
        f"not shown: {car[title]} and {truck[title]} points, q = {car['q']} and "
        f"{truck['q']}",
        f"frogs where automobiles are confused {frog[title]} points",
        f"q = {frog['q']}; Welch's q = {frog_welch['q']}",
        f"automobiles where frogs are {by_frog[title]}.",
        f"frogs {frog_left[title]}, automobiles {by_frog_left[title]}.",
        f"by `moderated` (q ≤ {largest_q}), and not by `paired` (q = "
        f"{gains[4]['q']} and {gains[5]['q']}, n = {gains[4]['n']})",
        "with 8 of 8 pairs of trucks, trucks with 8 of 8 pairs of cars",
        f"({below[2]} and {below[3]})",
        "(98 degrees of freedom)",
        f"gives {chance[0]} and {chance[1]} of 90 cells",
        f"Of `accuracy` {large[0][f'here, {PLAIN}']} and {large[1][f'here, {PLAIN}']}",
    ]


def phrases_of_blocks(tables):
    means, splits, trees = (tables[name] for name in ("block means", "splits", "trees"))
    column = "mean (95 % CI)"
    plain, left = (
        one(means, response, "same minus other", "paired")[column]
        for response in (PLAIN, WITHOUT)
    )
    networks = one(means, WITHOUT, "same minus other", "welch")[column]
    first, other = (one(splits, r, "difference, points") for r in (PLAIN, WITHOUT))
    num = first["place"].removeprefix("1 of ")
    gain, cost = (one(trees, PLAIN, close) for close in ("gain", "cost"))
    assert gain["the smaller group"] == ", ".join(poster_study.VEHICLES)
    assert min(float(row["p"]) for row in trees if row["response"] == WITHOUT) > 0.05
    return [
        f"own block, {plain} points more",
        f"place {first['place']} splits, p = {first['p']}.",
        f"not shown: {left} points; by all networks {networks}, place "
        f"{other['place']}, p = {other['p']}.",
        f"all {num} splits of the classes",
        f"All {num} splits into",
        f"p = place / {num}, exact and two-sided, and at least {1 / int(num):.3f}.",
        f"exactly the vehicles (p = {gain['p']})",
        f"do not show them (p = {cost['p']})",
    ]


def phrases_of_freedom(tables):
    vanished, counts = tables["vanished cells"], tables["counts by df"]
    columns = [column for column in vanished[0] if column.startswith("p; q")]
    both = [
        tuple(row[column].split("; "))
        for row in vanished
        if row["comparison"] == BY_CLASS
        for column in columns
    ]
    smallest = min(both, key=lambda values: float(values[0]))
    left = [row for row in vanished[:4] if row["response"] == WITHOUT]
    assert "; ".join(smallest) in [row[columns[2]] for row in left]
    smallest_q = min((q for _, q in both), key=float)
    dog = one(vanished, BY_PAIR, PLAIN)
    assert dog["cell"] == "dog, bird–cat confused"
    assert all(float(dog[column].split("; ")[1]) <= 0.05 for column in columns)
    row = one(counts, BY_PAIR, PLAIN)
    wrong = row["Welch's t, df = n1 + n2 − 2"].split("; ")[1]
    right = row["Welch's t, Welch's df"].split("; ")[1]
    return [
        f"the smallest q of target x class is {smallest_q}.",
        f"the smallest p is {smallest[0]}, by Student's test without the pair, with "
        f"q = {smallest[1]}.",
        f"Dogs gain {dog['difference (95 % CI)']} points",
        f"{wrong} in place of {right} cells of target x pair",
    ]


def phrases_of_sizes(tables):
    variances = {
        (row["comparison"], row["response"]): row for row in tables["variances"]
    }
    # In brackets is the sd.
    spread = {
        key: re.search(r"\((\S+?)[ )]", row["`repeats`"])[1]
        for key, row in variances.items()
    }
    shares = [one(tables["shares"], name)["`repeats`"] for name in (BY_CLASS, BY_PAIR)]
    found = {
        response: [text.rsplit(" ", 1)[0] for text in row["q ≤ 0.05"].split(", ")]
        for (comparison, response), row in variances.items()
        if comparison == BY_CLASS
    }
    assert len(set(found[WITHOUT])) == 1
    family = tables["bits"][:4]
    kl, entropy = (
        one(family, BY_CLASS, PLAIN, f"`{name}`")
        for name in ("kl_bits", "entropy_bits")
    )
    kl, entropy_sizes = (
        [float(row[f"largest {which}"].split(" (")[0]) for which in ("gain", "loss")]
        for row in (kl, entropy)
    )
    chance = entropy["largest by chance"]
    assert min(map(abs, entropy_sizes)) > float(chance)
    power = tables["power"]
    single, pair = (one(power, name, WITHOUT, "welch") for name in (BY_CLASS, BY_PAIR))
    then = "smallest, q, at 50 repeats"
    return [
        f"{found[WITHOUT][0]} cells of target x class by any of the tests, against "
        f"{found[PLAIN][0]} (`moderated`; Welch's test {found[PLAIN][2]})",
        f"{shares[0]} of the true variance of target x class, and {shares[1]} of",
        f"{kl[0]:+.4f} and {kl[1]:+.4f}.",
        f"{entropy_sizes[0]:+.4f} and {entropy_sizes[1]:+.4f}.",
        f"beyond what chance gives ({chance}).",
        f"true difference of {single['smallest effect, q']} points in 80 of 100 such",
        f"falls from {spread[BY_CLASS, PLAIN]} to {spread[BY_CLASS, WITHOUT]} points",
        f"that of target x pair from {spread[BY_PAIR, PLAIN]} to "
        f"{spread[BY_PAIR, WITHOUT]}.",
        f"then find {single[then]} points in target x class without the pair, and "
        f"{pair[then]} in target x pair.",
    ]


def test_command_writes_the_tables_of_the_page_without_tensorflow(tmp_path):
    page, figure = tmp_path / "page.md", tmp_path / "made" / "blocks.png"
    page.write_text(re.sub(r"^\|.*\n", "", PAGE, flags=re.MULTILINE))
    command = [
        *(sys.executable, "-c"),
        "import sys; from benchmarks.validity import poster_comparison; "
        "code = poster_comparison.main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)",
        *(str(STUDY), "--out", str(page), "--figure", str(figure)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == PAGE
    assert figure.stat().st_size > 20_000


def test_every_number_of_the_sentences_is_that_of_the_study(phrases):
    assert errors(PAGE, phrases) == []


def test_a_number_that_is_wrong_is_noticed(phrases):
    text = sentences(PAGE)
    numbers = list(re.finditer(r"\d+", text))
    assert len(numbers) > 200
    for found in numbers:
        wrong = f"{text[: found.start()]}{int(found[0]) + 1}{text[found.end() :]}"
        assert errors(wrong, phrases), text[found.start() - 40 : found.end() + 10]
    for claim in ("Of these, 3 are found.", "Of these, three are found."):
        assert errors(f"{text} {claim}", phrases)
    assert errors(text.replace(phrases[0], ""), phrases) == [phrases[0]]
