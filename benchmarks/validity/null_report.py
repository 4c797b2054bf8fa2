"""The report of the null calibration, as Markdown."""

from collections.abc import Callable, Iterable

from benchmarks import tables
from benchmarks.validity import null_statistics
from keras_confusion.comparisons import findings as comparison_findings

COMMAND = "python -m benchmarks.validity.null_calibration"
PLAIN = ("accuracy", "log2_probability")


def document(header: dict[str, str], measured: dict) -> str:
    """The whole report.

    Args:
        header: As `timing.header`.
        measured: As `null_calibration.measure`.
    """
    rows = measured["calibration"]
    sections = [
        ("Networks", _pools(measured["pools"])),
        ("In short: share of p <= 0.05", _shares(rows)),
        ("Studies with any finding", _any_findings(rows)),
        ("Correlation within repeats", _correlations(measured["correlations"])),
        ("Welch's standard error", _standard_errors(rows, measured["correlations"])),
        ("Few networks against many", _small_groups(measured["small_groups"])),
        ("Drawn studies", _drawn(measured["drawn"])),
    ]
    keys = dict.fromkeys((row["pool"], row["comparison"]) for row in rows)
    sections += [
        (
            f"All tests: {pool}, {comparison}",
            _details(
                [r for r in rows if (r["pool"], r["comparison"]) == (pool, comparison)]
            ),
        )
        for pool, comparison in keys
    ]
    text = tables.document(header, ((title, f"\n{body}") for title, body in sections))
    return text.replace("# Benchmark results", f"# Null calibration\n\n`{COMMAND}`", 1)


def _pools(pools: list[dict]) -> str:
    body = markdown(
        ("networks", "n", "mean accuracy", "sd of a class, points"),
        (
            (
                pool["pool"],
                pool["networks"],
                f"{pool['mean_accuracy']:.3f}",
                f"{100 * pool['mean_sd_of_a_class']:.1f}",
            )
            for pool in pools
        ),
    )
    return (
        "Five of scikit-learn's digits, or all ten, a small CNN "
        "(`benchmarks.validity.null_networks`), at "
        f"least {pools[0]['test_images_of_a_class']} test images a class. "
        '"own seeds": `--corruption null --own-seeds`, labels untouched. "shared '
        'seeds": `--corruption null --fraction 0.2`: every network, the baseline too, '
        "has wrong labels of its own; d' of ten digits only. Small studies that have "
        "no network in common are cut out of each.\n\n" + body
    )


def _shares(rows: list[dict]) -> str:
    return (
        "Of all tests of all small studies; in brackets the lowest and highest of the "
        "responses (accuracy and mean log2-probability, with and without the pair; of "
        "ten digits also d' of features and total).\n\n"
        + _by_design(rows, lambda group: _mean_and_span(group, "share_0.05"))
    )


def _any_findings(rows: list[dict]) -> str:
    return (
        "Share of studies with any q <= 0.05 in a family, mean of the responses "
        "(lowest and highest). Where nothing happens, this is to be at most 0.05.\n\n"
        + _by_design(rows, lambda group: _mean_and_span(group, "any_q"))
    )


def _mean_and_span(group: list[dict], name: str) -> str:
    values = [row[name] for row in group]
    mean = sum(values) / len(values)
    return f"{mean:.3f} ({min(values):.3f} to {max(values):.3f})"


def _by_design(rows: list[dict], cell: Callable[[list[dict]], str]) -> str:
    """A table per pool: a row per comparison and test, a column per sizes of groups."""
    pools = dict.fromkeys(row["pool"] for row in rows)
    return "\n".join(
        _pool_by_design([row for row in rows if row["pool"] == pool], cell)
        for pool in pools
    )


def _pool_by_design(rows: list[dict], cell: Callable[[list[dict]], str]) -> str:
    designs = dict.fromkeys((r["repeats"], r["baseline_repeats"]) for r in rows)
    studies = {
        design: max(
            r["studies"]
            for r in rows
            if (r["repeats"], r["baseline_repeats"]) == design
        )
        for design in designs
    }
    keys = dict.fromkeys((r["pool"], r["comparison"], r["test"]) for r in rows)
    lines = []
    for key in keys:
        groups = (
            [
                r
                for r in rows
                if (r["pool"], r["comparison"], r["test"]) == key
                and (r["repeats"], r["baseline_repeats"]) == design
            ]
            for design in designs
        )
        lines.append((*key[:2], comparison_findings.TITLES[key[2]], *map(cell, groups)))
    names = (
        f"{arm} vs {baseline} ({studies[arm, baseline]} studies)"
        for arm, baseline in designs
    )
    return markdown(("networks", "comparison", "test", *names), lines)


def _correlations(rows: list[dict]) -> str:
    return (
        "Of networks that share their seeds, third classes: covariance over repeats "
        "over variance, all arms and targets together (`null_statistics.correlations`)."
        "\n\n"
        + markdown(
            (
                "study",
                "response",
                "arm with arm",
                "of single targets",
                "arm with baseline",
                "repeats",
            ),
            (
                (
                    row["networks"],
                    row["response"],
                    f"{row['arms']:.2f}",
                    f"{row['lowest']:.2f} to {row['highest']:.2f}",
                    f"{row['baseline']:.2f}",
                    row["repeats"],
                )
                for row in rows
            ),
        )
    )


def _standard_errors(rows: list[dict], correlations: list[dict]) -> str:
    """Welch's squared standard error over the true one, measured and expected."""
    arm_correlation = {
        (row["networks"], row["response"]): row["arms"] for row in correlations
    }
    lines = []
    for row in rows:
        if row["test"] != comparison_findings.WELCH:
            continue
        expected = ""
        if row["response"] in PLAIN:
            ratio = null_statistics.expected_variance_ratio(
                row["comparison"],
                arm_correlation.get((row["pool"], row["response"]), 0.0),
                row["repeats"],
                row["baseline_repeats"],
            )
            expected = f"{ratio:.2f}"
        lines.append(
            (
                row["pool"],
                row["comparison"],
                f"{row['repeats']} vs {row['baseline_repeats']}",
                row["response"],
                _interval(row, "variance_ratio", 2),
                expected,
                f"{row['variance_ratio'] ** 0.5:.2f}",
            )
        )
    return (
        "Mean of Welch's squared standard errors over the mean squared difference, "
        "which is the true one where nothing happens, with a 95 % interval (bootstrap "
        "over studies); expected from the correlation above, for the responses that "
        "are not centred; and the root, how many times too long intervals are.\n\n"
        + markdown(
            (
                "networks",
                "comparison",
                "sizes",
                "response",
                "variance ratio",
                "expected",
                "root",
            ),
            lines,
        )
    )


def _small_groups(rows: list[dict]) -> str:
    return (
        "Normal responses of independent networks, families of 360 independent tests; "
        "shares of p-values over what they should be. The squared standard error of a "
        "small group is sometimes much too small by chance, and Welch's degrees of "
        "freedom are then those of the large group.\n\n"
        + markdown(
            ("sizes", "test", "p <= 0.05, times", "p <= 0.01, times",
             "p <= 0.001, times", "families with any q <= 0.05"),
            (
                (
                    f"{row['repeats']} vs {row['baseline_repeats']}",
                    comparison_findings.TITLES[row["test"]],
                    f"{row['excess_0.05']:.2f}",
                    f"{row['excess_0.01']:.2f}",
                    f"{row['excess_0.001']:.2f}",
                    _interval(row, "any_q", 3),
                )
                for row in rows
            ),
        )
    )  # fmt: skip


def _drawn(rows: list[dict]) -> str:
    return (
        f"Normal responses of ten classes and 45 pairs, {rows[0]['repeats']} networks "
        f"an arm and {rows[0]['baseline_repeats']} baselines, through the same "
        "functions; one test a target and study, which are independent. Expected: "
        "from the correlation, for responses that are not centred.\n\n"
        + markdown(
            (
                "correlation of",
                "correlation",
                "comparison",
                "response",
                "test",
                "n",
                "KS",
                "p of KS",
                "share p <= 0.05",
                "expected",
            ),
            (
                (
                    row["correlation_of"],
                    f"{row['correlation']:.2f}",
                    row["comparison"],
                    row["response"],
                    comparison_findings.TITLES[row["test"]],
                    row["tests"],
                    f"{row['ks']:.3f}",
                    _p_value(row["ks_p_value"]),
                    _interval(row, "share", 3),
                    f"{row['expected_share']:.3f}",
                )
                for row in rows
            ),
        )
    )


def _details(rows: list[dict]) -> str:
    return (
        'KS and "one a study" of one cell of every study, which are independent, with '
        'exact binomial intervals; "all" with intervals over studies.\n\n'
        + markdown(
            (
                "sizes",
                "response",
                "test",
                "studies",
                "tests",
                "untested",
                "KS",
                "p of KS",
                "p <= 0.05, one a study",
                "p <= 0.05, all",
                "of single targets",
                "p <= 0.01, all",
                "p <= 0.001, all",
                "any q <= 0.05",
            ),
            (
                (
                    f"{row['repeats']} vs {row['baseline_repeats']}",
                    row["response"],
                    comparison_findings.TITLES[row["test"]],
                    row["studies"],
                    row["tests"],
                    row["untested"],
                    f"{row['ks']:.3f}",
                    _p_value(row["ks_p_value"]),
                    _interval(row, "one_0.05", 3),
                    _interval(row, "share_0.05", 3),
                    f"{row['lowest_target']:.3f} to {row['highest_target']:.3f}",
                    _interval(row, "share_0.01", 3),
                    _interval(row, "share_0.001", 4),
                    _interval(row, "any_q", 3),
                )
                for row in rows
            ),
        )
    )


def markdown(columns: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A table; values as they are."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _interval(row: dict, name: str, digits: int) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
