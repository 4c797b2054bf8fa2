"""Degrees of freedom, competition, the poster's t, bits and power, as Markdown."""

from benchmarks.validity.null_report import markdown
from benchmarks.validity.poster_points import BY_CLASS
from benchmarks.validity.poster_sizes import (
    POSTER_BASELINE,
    POSTER_BITS,
    POSTER_REPEATS,
    cell_name,
)
from benchmarks.validity.poster_words import (
    found_in_words,
    interval,
    number,
    points,
    probability,
    standard_deviation,
)
from keras_confusion.comparisons.findings import BLOCKS, PAIRED, SIGNIFICANCE, TESTS
from keras_confusion.comparisons.responses import RESPONSES

_DF_TITLES = {
    "welch": "Welch's t, Welch's df",
    "wrong_df": "Welch's t, df = n1 + n2 − 2",
    "student": "Student's t, one variance, df = n1 + n2 − 2",
    "smaller": "Welch's t, df = smaller n − 1",
}


def freedom_section(freedom: list[dict]) -> str:
    """Birds and dogs; see `poster_points.degrees_of_freedom`."""
    rows = []
    for row in freedom:
        cells = row["cells"]
        # Of pairs the one with the smallest p is enough.
        for cell in cells if row["comparison"] == BY_CLASS else cells[:1]:
            rows.append(
                (
                    row["comparison"],
                    f"`{row['response']}`",
                    cell_name(cell),
                    f"{cell['n_confused']} and {cell['n_comparison']}",
                    points(cell),
                    number(cell["t"]),
                    f"{number(cell['df'])}; {number(cell['df_student'])}",
                    *(
                        f"{probability(cell[test])}; {probability(cell[f'q_{test}'])}"
                        for test in ("welch", "wrong_df", "student")
                    ),
                )
            )
    columns = ("comparison", "response", "cell", "n", "difference (95 % CI)", "t")
    columns = (*columns, "df: Welch's; n1 + n2 − 2")
    columns += tuple(
        f"p; q: {_DF_TITLES[test]}" for test in ("welch", "wrong_df", "student")
    )
    text = "Of target x pair, the pair with the smallest p.\n\n" + markdown(
        columns, rows
    )
    text += (
        f"\nAll cells: how many have p ≤ {SIGNIFICANCE}, and q ≤ {SIGNIFICANCE}.\n\n"
    )
    columns = ("comparison", "response", "tests", *_DF_TITLES.values())
    return text + markdown(
        columns,
        (
            (
                row["comparison"],
                f"`{row['response']}`",
                row["num"],
                *("{}; {}".format(*row["counts"][test]) for test in _DF_TITLES),
            )
            for row in freedom
        ),
    )


def competition_section(shares: list[dict], num_repeats: int) -> str:
    """What is found and what varies; see `poster_points.competition`."""
    rows = [
        (
            row["comparison"],
            f"`{response}`",
            found_in_words(row[response]),
            f"{row[response]['mean']:+.2f}",
            f"{row[response]['sd']:.2f}",
            *(
                f"{value:+.3f} ({standard_deviation(value)})"
                for value in row[response]["variance"].values()
            ),
        )
        for row in shares
        for response in RESPONSES
    ]
    columns = ("comparison", "response", f"q ≤ {SIGNIFICANCE}", "mean", "sd of cells")
    columns = (*columns, "true variance (sd): `welch`", "`paired`", "`repeats`")
    text = (
        "True variance of the cells, points²: `welch` and `paired`, variance of the "
        "differences less the mean squared standard error of the test; `repeats`, mean "
        f"covariance of two of {num_repeats} repeats over cells, "
        "which needs no standard error. Estimates can be below 0.\n\n"
        + markdown(columns, rows)
        + "\nShare of the true variance of `accuracy` that is gone once the pair is "
        "left out of the choice, which is what competition explains; interval by the "
        "jackknife over targets (it can pass 1 where an estimate is below 0).\n\n"
    )
    return text + markdown(
        ("comparison", "targets", "`welch`", "`paired`", "`repeats`"),
        (
            (
                row["comparison"],
                row["share"]["repeats"].n,
                *(interval(share, sign=False) for share in row["share"].values()),
            )
            for row in shares
        ),
    )


def poster_t_text(found: dict) -> str:
    """The two t of the poster's picture beside this study's; see `poster_sizes`."""
    text = (
        "The poster's picture of Welch's test shows t = −2.78 (p < 0.01) and t = 2.116 "
        "(p < 0.05), with airplane, automobile and frog legible on its axis, the class "
        f"being targeted. With {POSTER_REPEATS} networks in both groups "
        f"(df = {found['df']}):\n\n"
    )
    rows = [
        (
            f"{abs(row['t']):.3f}".rstrip("0"),
            probability(row["p_value"]),
            f"{row['expected']:.1f}",
            *(row["ours"][response] for response in RESPONSES),
        )
        for row in found["chance"]
    ]
    columns = ("size of t, at least", "p", f"cells of {found['num']} by chance alone")
    columns = (*columns, *(f"here, `{response}`" for response in RESPONSES))
    text += markdown(columns, rows)
    text += (
        f"\nOne finding alone among {found['num']} cells has q ≤ {SIGNIFICANCE} from "
        f"a t of {found['t_alone']:.2f} or −{found['t_alone']:.2f} on. Which cells the "
        "two are of is not legible. Target x class among the three classes of the "
        "axis, here:\n\n"
    )
    rows = [
        (
            row["target_name"],
            row["class_name"],
            f"`{row['response']}`",
            points(row),
            *(
                f"{number(row[f'{prefix}t'])}; {probability(row[f'{prefix}p_value'])}; "
                f"{probability(row[f'{prefix}q_value'])}"
                for prefix in ("", f"{PAIRED}_", f"{BLOCKS}_")
            ),
        )
        for row in found["cells"]
    ]
    columns = ("target", "confused", "response", "difference (95 % CI), Welch's")
    text += markdown((*columns, *(f"{test}: t; p; q" for test in TESTS)), rows)
    text += "\nTarget x pair among these three and the truck, lowest and highest t:\n\n"
    rows = [
        (
            f"`{row['response']}`",
            row["test"],
            row["num"],
            *(
                f"{number(t)}, q = {probability(q)}: {name}"
                for t, q, name in row["ends"]
            ),
        )
        for row in found["pairs"]
    ]
    return text + markdown(("response", "test", "cells", "lowest t", "highest t"), rows)


def bits_section(readings: list[dict], fall: dict[str, float]) -> str:
    """The largest gain and loss under every reading; see `poster_sizes.bits`."""
    best = min(
        (
            row
            for row in readings
            if row["comparison"] == BY_CLASS and row["response"] == "accuracy"
        ),
        key=lambda row: row["distance"],
    )
    text = (
        "Positive: gained on classifying T by not confusing C. Noise: of `kl_bits` the "
        "mean noise floor, of the others the root mean square standard error over "
        "repeats. By chance: the median of the largest of as many independent cells "
        "without any effect.\n\n"
    )
    rows = [
        (
            row["comparison"],
            f"`{row['response']}`",
            f"`{row['reading']}`",
            f"{row['gain'][0]:+.4f} ({row['gain'][1]})",
            f"{row['loss'][0]:+.4f} ({row['loss'][1]})",
            f"{row['noise']:.5f}",
            f"{row['by_chance']:.4f}",
        )
        for row in readings
    ]
    columns = ("comparison", "response", "reading", "largest gain", "largest loss")
    text += markdown((*columns, "noise", "largest by chance"), rows)
    beyond = min(best["gain"][0], -best["loss"][0]) > best["by_chance"]
    text += (
        f"\nClosest to the poster's {POSTER_BITS} both ways, in its own comparison "
        f"(target x class, `accuracy`): `{best['reading']}`, {best['gain'][0]:+.4f} "
        f"and {best['loss'][0]:+.4f}, "
        + (
            "both beyond what chance gives. "
            if beyond
            else "not both beyond what chance gives. "
        )
        + f"At the baseline's mean accuracy of {fall['accuracy']:.3f}, {POSTER_BITS} "
        f"bits are a fall by {number(fall['kl_bits'])} points under `kl_bits` and by "
        f"{number(fall['entropy_bits'])} under `entropy_bits`. That a reading gives "
        "numbers of such a size does not show that it is the poster's: networks, "
        "learning rate and epochs differ.\n"
    )
    return text


def power_section(rows: list[dict]) -> str:
    """What could be found; see `poster_sizes.power`."""
    text = (
        "Points; medians over cells. Smallest effect: the true difference that is "
        "found in 80 of 100 studies, by one test alone (p ≤ 0.05), and where it is the "
        "only one among all cells (q ≤ 0.05, that is p ≤ 0.05 / tests). The more there "
        "is to find, the closer the second comes to the first. "
        f"{POSTER_REPEATS} repeats: networks that differ as these, {POSTER_BASELINE} "
        "baselines.\n\n"
    )
    columns = ("comparison", "response", "test", "tests", "df", "standard error")
    columns = (*columns, "± of the 95 % CI", "smallest effect, p", "smallest effect, q")
    columns = (
        *columns,
        f"± at {POSTER_REPEATS} repeats",
        f"smallest, q, at {POSTER_REPEATS} repeats",
    )
    return text + markdown(
        columns,
        (
            (
                row["comparison"],
                f"`{row['response']}`",
                row["test"],
                row["num"],
                number(row["df"]),
                f"{row['standard_error']:.2f}",
                f"{row['half_width']:.2f}",
                f"{row['one_test']:.1f}",
                f"{row['alone']:.1f}" if row["alone"] < 100 else "none below 100",
                f"{row['half_width_then']:.2f}",
                f"{row['alone_then']:.2f}",
            )
            for row in rows
        ),
    )
