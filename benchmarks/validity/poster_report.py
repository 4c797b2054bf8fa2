"""The comparison with the poster, as Markdown. Words follow from the numbers."""

from benchmarks.validity import poster_points, poster_sizes
from benchmarks.validity.null_report import markdown
from benchmarks.validity.poster_points import BY_CLASS, BY_PAIR, Measured
from benchmarks.validity.poster_sections import (
    bits_section,
    competition_section,
    freedom_section,
    poster_t_text,
    power_section,
)
from benchmarks.validity.poster_words import (
    cell_verdict,
    found_in_words,
    interval,
    number,
    points,
    probability,
    standard_deviation,
)
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons.findings import PAIRED, SIGNIFICANCE, TESTS, WELCH
from keras_confusion.comparisons.responses import RESPONSES


def fragment(description: dict, measured: Measured) -> str:
    """Everything that is computed of the page.

    Args:
        description: Of the study, see `StudyFolder`.
        measured: The study.
    """
    claimed = poster_points.of_classes(measured, poster_points.CLAIMED)
    blocks = poster_points.blocks(measured)
    freedom = poster_points.degrees_of_freedom(measured)
    shares = poster_points.competition(measured)
    readings = poster_sizes.bits(measured)
    sections = [
        ("What was compared", _study(description, measured)),
        ("In short", _short(claimed, blocks, freedom, shares, readings)),
        (
            "Cars and trucks, cars and frogs",
            _cars(
                claimed,
                poster_points.of_pairs(measured, poster_points.CLAIMED),
                poster_sizes.poster_t(measured),
            ),
        ),
        ("Animals and vehicles", _blocks(measured, blocks)),
        ("Birds and dogs, and the degrees of freedom", freedom_section(freedom)),
        (
            "How much is competition",
            competition_section(shares, len(measured.repeats[BY_CLASS])),
        ),
        ("Bits", bits_section(readings, poster_sizes.points_of_bits(
            measured, poster_sizes.POSTER_BITS
        ))),
        ("What this study could find", power_section(poster_sizes.power(measured))),
    ]  # fmt: skip
    return "\n".join(f"## {title}\n\n{body.rstrip()}\n" for title, body in sections)


def _study(description: dict, measured: Measured) -> str:
    study, settings = measured.study, description["settings"]
    of_images = study.baseline.accuracy @ study.prior
    sd = study.baseline.accuracy.std(axis=0, ddof=1).mean()
    within_repeats = comparison_findings.correlation_within_repeats
    correlations = ", ".join(
        f"{within_repeats(measured.cells[comparison]):.2f} in {comparison}"
        for comparison in (BY_CLASS, BY_PAIR)
    )
    text = (
        f"{settings['dataset']}, {len(study.pairs)} pairs, "
        f"{len(measured.repeats[BY_CLASS])} complete repeats, "
        f"{len(study.confused_seed)} confused and {len(study.baseline_seed)} baseline "
        f"networks, {settings['epochs']} epochs, recipe `{settings['recipe']}`. "
        f"Baseline accuracy {of_images.mean():.3f}, sd {of_images.std(ddof=1):.3f} "
        f"(n = {len(of_images)}); sd of one class's accuracy {100 * sd:.1f} points, "
        "mean of the classes. Correlation of the groups within repeats, median of the "
        f"cells: {correlations}.\n\n"
        "Differences are confused minus comparison, percentage points, with 95 % "
        "intervals. Below 0, not learning class C costs target T; above 0, T gains. "
        "`accuracy` holds both what T learns from C and what T wins where C is a "
        "weaker rival; `accuracy_without_pair`, the confused pair left out of the "
        "choice, only the first. q: Benjamini and Hochberg's, over "
        f"{len(measured.rows(BY_CLASS, 'accuracy'))} cells of {BY_CLASS}, or "
        f"{len(measured.rows(BY_PAIR, 'accuracy'))} third classes of {BY_PAIR}. A "
        f"finding is q ≤ {SIGNIFICANCE}. Tests: `welch`, networks as independent; "
        "`paired`, differences within repeats; `blocks`, the same with the noise known "
        "from all arms.\n\n"
    )
    caution = comparison_findings.caution(measured.cells[BY_PAIR], WELCH)
    if caution:
        text += (
            f"**Which test to trust.** {BY_PAIR}: {caution} {BY_CLASS}: Welch's test "
            "pools arms, and is cautious where networks of a repeat share their seeds, "
            "as here. `paired` is calibrated in both, and weak with few repeats. "
            "Measured by `benchmarks.validity.null_calibration`."
        )
    return text


def _short(claimed, blocks, freedom, shares, readings) -> str:
    rows = []
    for pair in poster_points.CLAIMED:
        cells = [
            row for row in claimed if {row["target_name"], row["class_name"]} == {*pair}
        ]
        rows.append(
            [
                f"{pair[0]}s and {pair[1]}s: learned from each other (target x class)",
                *(cell_verdict(cells, response) for response in RESPONSES),
            ]
        )
    rows.append(
        [
            "animals and vehicles are two blocks (a class costs its own block more)",
            *(_block_verdict(row) for row in blocks),
        ]
    )
    by_class = [row for row in freedom if row["comparison"] == BY_CLASS]
    rows.append(
        [
            "bird and dog: significant only by a wrong number of degrees of freedom",
            *(_freedom_verdict(row) for row in by_class),
        ]
    )
    rows += [
        [
            f"findings, {row['comparison']}; true sd of the cells, points "
            "(covariance of repeats)",
            *(
                f"{found_in_words(row[response])}; "
                f"{standard_deviation(row[response]['variance']['repeats'])}"
                for response in RESPONSES
            ),
        ]
        for row in shares
    ]
    rows.append(
        [
            "gains up to 0.025 bits, losses almost as large; here `kl_bits`, target x "
            "class",
            *(
                f"{row['gain'][0]:+.4f} and {row['loss'][0]:+.4f}"
                for row in readings
                if row["comparison"] == BY_CLASS and row["reading"] == "kl_bits"
            ),
        ]
    )
    return markdown(("the poster", *(f"`{response}`" for response in RESPONSES)), rows)


def _block_verdict(row: dict) -> str:
    test = row["points"]
    if test.p_value > SIGNIFICANCE:
        word = "not shown"
    elif test.contrast < 0:
        word = "yes"
    else:
        word = "two blocks, the other way round: a class gains"
    return (
        f"{word}; {test.contrast:+.2f} points, place {test.rank} of "
        f"{len(test.contrasts)}, p = {probability(test.p_value)}"
    )


def _freedom_verdict(row: dict) -> str:
    found = {
        test: [
            cell["target_name"] for cell in row["cells"] if cell[name] <= SIGNIFICANCE
        ]
        for test, name in (("welch", "q_welch"), ("wrong", "q_wrong_df"))
    }
    before = [c["target_name"] for c in row["cells"] if c["welch"] <= SIGNIFICANCE]
    if found["welch"]:
        return f"found by Welch's df as well: {', '.join(found['welch'])}"
    if found["wrong"]:
        return f"yes: {', '.join(found['wrong'])} with df = n1 + n2 − 2 only"
    if before:
        return f"{', '.join(before)}: p ≤ {SIGNIFICANCE}, gone with the correction"
    return f"no: p > {SIGNIFICANCE} before any correction"


def _cars(claimed: list[dict], pairs: list[dict], poster_t: dict) -> str:
    rows = [
        (
            row["target_name"],
            row["class_name"],
            f"`{row['response']}`",
            row["test"],
            f"{row['n_confused']} and {row['n_comparison']}"
            if row["test"] == WELCH
            else f"{row[row['test'] + '_n']} repeats",
            points(row),
            number(row["t"]),
            number(row["df"]),
            probability(row["p_value"]),
            probability(row["q_value"]),
            f"{row['kl_bits']:+.5f}",
        )
        for row in claimed
    ]
    columns = ("target", "confused", "response", "test", "n", "difference (95 % CI)")
    columns = (*columns, "t", "df", "p", "q", "`kl_bits`")
    text = "Target x class:\n\n" + markdown(columns, rows) + "\nTarget x pair: the "
    text += (
        "pairs of C with each third class, against the baseline. Mean over these pairs "
        "by Student's t over repeats, and the pair with the smallest p of Welch's "
        "test.\n\n"
    )
    columns = ("target", "C", "response", "mean of pairs (95 % CI)", "p", "below 0")
    columns = (*columns, "found " + " / ".join(TESTS), "strongest", "difference", "t")
    columns = (*columns, "q", "q paired", "q blocks")
    return (
        text
        + markdown(columns, [_pairs_row(row) for row in pairs])
        + "\n"
        + poster_t_text(poster_t)
    )


def _pairs_row(row: dict) -> tuple:
    cell = row["strongest"]
    return (
        row["target_name"],
        row["class_name"],
        f"`{row['response']}`",
        interval(row["mean"]),
        probability(row["mean"].p_value),
        f"{row['costs']} of {row['num']}",
        " / ".join(str(row["found"][test]) for test in TESTS),
        f"{cell['class_a_name']}–{cell['class_b_name']}",
        points(cell),
        number(cell["t"]),
        *(
            probability(cell[f"{prefix}q_value"])
            for prefix in ("", "paired_", "blocks_")
        ),
    )


def _blocks(measured: Measured, blocks: list[dict]) -> str:
    rows = []
    for row in blocks:
        for part in ("within", "across", "contrast"):
            for test in (WELCH, PAIRED):
                found = row["intervals"][part, test]
                rows.append(
                    (
                        f"`{row['response']}`",
                        {"within": "same block", "across": "other block"}.get(
                            part, "same minus other"
                        ),
                        test,
                        f"{found.n} {'networks' if test == WELCH else 'repeats'}",
                        interval(found),
                        number(found.t),
                        number(found.df),
                        probability(found.p_value),
                    )
                )
    columns = ("response", "cells of target x class", "test", "n", "mean (95 % CI)")
    text = markdown((*columns, "t", "df", "p"), rows)
    text += (
        "\nWith equally many networks in every arm a target's cells add up to 0, so "
        "that both means and their difference are one number, and one t.\n"
        "\nAre the classes split there, and not elsewhere? All splits into four and "
        f"six classes, {len(blocks[0]['points'].contrasts)} of them; place of the "
        "true one by size of the contrast, p = place / splits (exact, two-sided); "
        "and the share of splits whose contrast is not above it.\n\n"
    )
    rows = []
    for row in blocks:
        for name, digits in (("points", 2), ("bits", 5)):
            test = row[name]
            rows.append(
                (
                    f"`{row['response']}`",
                    {"points": "difference, points", "bits": "`kl_bits`"}[name],
                    f"{test.within:+.{digits}f}",
                    f"{test.across:+.{digits}f}",
                    f"{test.contrast:+.{digits}f}",
                    f"{test.rank} of {len(test.contrasts)}",
                    probability(test.p_value),
                    f"{test.share_below:.3f}",
                )
            )
    columns = ("response", "of", "same block", "other block", "contrast", "place")
    text += markdown((*columns, "p", "share not above"), rows)
    text += (
        "\nClustering by `keras_confusion.comparisons.clustering`, cut into two "
        "groups. Close are classes of which confusing one is a cost to the other, or "
        "a gain. Adjusted "
        "Rand index 1: the groups are animals and vehicles, 0: agreement by chance; p: "
        "share of splits that agree as well.\n\n"
    )
    rows = []
    for row in blocks:
        for close, tree in row["trees"].items():
            smaller = min(tree["groups"], key=len)
            rows.append(
                (
                    f"`{row['response']}`",
                    close,
                    ", ".join(measured.class_names[k] for k in smaller),
                    f"{tree['rand']:+.2f}",
                    probability(tree["p_value"]),
                    f"{tree['nearest']:.2f}",
                    f"{tree['nearest_by_chance']:.2f}",
                )
            )
    columns = ("response", "close by", "the smaller group", "adjusted Rand index", "p")
    return text + markdown(
        (*columns, "classes whose nearest is in their block", "by chance"), rows
    )
