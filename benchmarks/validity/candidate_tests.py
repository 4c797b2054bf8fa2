"""Tests that were compared with the default and not taken.

All take the networks of a simulated study, see `simulated_noise.DrawnStudy`: arms of
every target, `(K, A, R)`, and baseline networks, `(K, N)`, the first R of which are of
the arms' repeats.
"""

import numpy as np
import scipy.stats

from keras_confusion.stats import moderated, t_tests

# Of the cells of every target, `(K, cells)`: difference, squared standard error, df, p.
Tested = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

# Shares of the variance that repeats may have in common, of which the likeliest is
# taken.
_CORRELATIONS = np.linspace(0, 0.98, 99)


def mixed_model(responses: np.ndarray, baseline: np.ndarray) -> Tested:
    """A linear mixed model of every target: arms fixed, repeats random, one noise.

    Networks of a repeat are correlated by rho. Beside the arms' means, what is left
    falls into four independent parts: within repeats, between repeats, between the
    baseline networks of other repeats, and the mean of those against the mean of the
    repeats' own. Their likelihood is the restricted one (REML: Patterson and Thompson
    1971, Biometrika 58:545); the difference is the generalised least squares one of
    `moderated.own_share`, with the df of the variance within repeats.
    """
    num_repeats, num_others = responses.shape[2], baseline.shape[1] - responses.shape[2]
    own, others = baseline[:, :num_repeats], baseline[:, num_repeats:]
    every = np.concatenate([responses, own[:, None]], axis=1)
    num_arms = every.shape[1]
    residuals = every - every.mean(axis=2, keepdims=True)
    of_repeats = residuals.mean(axis=1)
    means = own.mean(axis=1), others.mean(axis=1)
    # Sum of squares, how many, and variance over that of one network, of every part.
    rho = _CORRELATIONS
    parts = [
        (
            ((residuals - of_repeats[:, None]) ** 2).sum(axis=(1, 2)),
            (num_arms - 1) * (num_repeats - 1),
            1 - rho,
        ),
        (
            num_arms * (of_repeats**2).sum(axis=1),
            num_repeats - 1,
            1 + (num_arms - 1) * rho,
        ),
        (
            ((others - means[1][:, None]) ** 2).sum(axis=1),
            num_others - 1,
            np.ones_like(rho),
        ),
        (
            (means[0] - means[1]) ** 2 / (1 / num_repeats + 1 / num_others),
            1,
            np.ones_like(rho),
        ),
    ]
    df = sum(count for _, count, _ in parts)
    variance = sum(squares[:, None] / scale for squares, _, scale in parts) / df
    logs = sum(count * np.log(scale) for _, count, scale in parts)
    best = (df * np.log(variance) + logs).argmin(axis=1)
    rho, variance = rho[best], variance[np.arange(len(best)), best]
    share = np.array(
        [moderated.own_share(num_repeats, num_others, float(value)) for value in rho]
    )
    error = (1 - 2 * share * rho + share**2) / num_repeats
    error += (1 - share) ** 2 / num_others
    level = share * means[0] + (1 - share) * means[1]
    difference = responses.mean(axis=2) - level[:, None]
    squared = np.broadcast_to((variance * error)[:, None], difference.shape)
    return _by_t(difference, squared, (num_arms - 1) * (num_repeats - 1))


def limma(responses: np.ndarray, baseline: np.ndarray) -> Tested:
    """Paired differences with moderated variances, whose prior has no bound."""
    differences = responses - baseline[:, None, : responses.shape[2]]
    results = [
        moderated.compare_moderated(target, most_prior=np.inf) for target in differences
    ]
    fields = (
        np.stack([getattr(result, name) for result in results])
        for name in ("difference", "t", "df", "p_value")
    )
    difference, t, df, p_value = fields
    with np.errstate(invalid="ignore"):
        return difference, (difference / t) ** 2, df, p_value


def welch_of_the_fewer(responses: np.ndarray, baseline: np.ndarray) -> Tested:
    """Welch's t with the degrees of freedom of the smaller group, its most cautious."""
    result = t_tests.compare(responses, baseline[:, None])
    with np.errstate(invalid="ignore"):
        squared = (result.difference / result.t) ** 2
    return _by_t(result.difference, squared, responses.shape[2] - 1)


def permutation_p_value(
    responses: np.ndarray,
    baseline: np.ndarray,
    rng: np.random.Generator,
    num_permutations: int = 99,
) -> float:
    """Does any arm differ at all? By exchanging arms within repeats.

    The statistic is the sum over targets of the share of the variance within repeats
    that is between arms, the repeats' own baseline being one of them. It asks for the
    whole study at once, not for cells: of three repeats of two arms no exchange could
    give less than p = 0.25.

    Returns:
        (1 + exchanges at least as extreme) / (1 + exchanges) (Phipson and Smyth 2010,
        Stat. Appl. Genet. Mol. Biol. 9:39).
    """
    own = baseline[:, None, : responses.shape[2]]
    every = np.concatenate([responses, own], axis=1)
    every = every - every.mean(axis=1, keepdims=True)
    # No variance at all: any exchange is as extreme.
    every = every[(every != 0).any(axis=(1, 2))]
    observed = _ratio(every)
    extreme = sum(
        _ratio(rng.permuted(every, axis=1)) >= observed for _ in range(num_permutations)
    )
    return (1 + extreme) / (1 + num_permutations)


def _ratio(every: np.ndarray) -> float:
    between = every.shape[2] * (every.mean(axis=2) ** 2).sum(axis=1)
    return float((between / (every**2).sum(axis=(1, 2))).sum())


def _by_t(difference: np.ndarray, squared_error: np.ndarray, df: float) -> Tested:
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(difference) / np.sqrt(squared_error)
    p_value = 2 * scipy.stats.t.sf(t, df)
    return difference, squared_error, np.full(difference.shape, float(df)), p_value
