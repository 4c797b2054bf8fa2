"""Four readings of "bits of information gained on T by not confusing C".

The poster gives no formula for its bits. These four are all positive for information
gained by *not* confusing: `kl_bits` (the default), `entropy_bits`,
`mutual_information_bits` (comparison minus confused) and `log_likelihood_bits`.
`keras_confusion.stats.t_tests` offers them too.
"""

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def check_shares(name: str, values: ArrayLike, *, high: float = 1.0) -> FloatArray:
    """`values` as float64; raises `ValueError` outside [0, high], NaN aside."""
    array = np.asarray(values, dtype=np.float64)
    outside = array[(array < 0) | (array > high)]
    if outside.size:
        raise ValueError(
            f"Expected `{name}` in [0, {high:g}]. Received: {outside[0]}. "
            "Use shares, not percentages, and NaN for what is undefined."
        )
    return array


def kl_bits(p: ArrayLike, q: ArrayLike, *, resolution: ArrayLike = 0.0) -> FloatArray:
    """Signed Kullback-Leibler divergence between two success rates.

    `sign(p-q) * (p*log2(p/q) + (1-p)*log2((1-p)/(1-q)))`; Kullback & Leibler (1951),
    Ann. Math. Stat. 22:79.

    Args:
        p: Mean response of the comparison group, in [0, 1].
        q: Mean response of the confused group, in [0, 1].
        resolution: Rates are first moved into [resolution, 1 - resolution]; in
            [0, 0.5]. Half of one test image, 0.5 / number of trials, keeps the result
            finite; with 0 it is infinite where q is 0 or 1 and p is not.

    Returns:
        Bits, in the broadcast shape, positive if p > q.

    Raises:
        ValueError: If a rate or `resolution` is outside its range.

    Example:
        >>> round(float(kl_bits(0.70, 0.61)), 4)
        0.0254
    """
    resolution = check_shares("resolution", resolution, high=0.5)
    p = np.clip(check_shares("p", p), resolution, 1 - resolution)
    q = np.clip(check_shares("q", q), resolution, 1 - resolution)
    nats = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)
    # Rounding can leave a negative divergence, which would flip the sign.
    return np.sign(p - q) * np.maximum(nats, 0) / np.log(2)


def kl_noise_floor_bits(
    p: ArrayLike,
    *,
    sd_confused: ArrayLike,
    n_confused: ArrayLike,
    sd_comparison: ArrayLike,
    n_comparison: ArrayLike,
) -> FloatArray:
    """Mean size of `kl_bits` where confusing has no effect.

    `(sd_confused^2/n_confused + sd_comparison^2/n_comparison) / (2*p*(1-p)*ln 2)`,
    the expectation of the divergence's second-order term, (p-q)^2 / (2*p*(1-p)*ln 2).

    Args:
        p: Mean response of the comparison group, in [0, 1].
        sd_confused: Standard deviation between confused networks, in [0, 1].
        n_confused: Number of confused networks.
        sd_comparison: Standard deviation between comparison networks, in [0, 1].
        n_comparison: Number of networks in the comparison group.

    Returns:
        Bits, in the broadcast shape; NaN where p is 0 or 1 or a number is below 2.

    Raises:
        ValueError: If `p` or a standard deviation is outside [0, 1].

    Example:
        >>> groups = dict(sd_confused=0.1, sd_comparison=0.1, n_comparison=50)
        >>> round(float(kl_noise_floor_bits(0.7, n_confused=50, **groups)), 6)
        0.001374
    """
    p = check_shares("p", p)
    variance1 = check_shares("sd_confused", sd_confused) ** 2
    variance2 = check_shares("sd_comparison", sd_comparison) ** 2
    n1 = np.where(np.less(n_confused, 2), np.nan, n_confused)
    n2 = np.where(np.less(n_comparison, 2), np.nan, n_comparison)
    p_variance = np.where((p == 0) | (p == 1), np.nan, p * (1 - p))
    return (variance1 / n1 + variance2 / n2) / (2 * p_variance * np.log(2))


def entropy_bits(p: ArrayLike, q: ArrayLike) -> FloatArray:
    """Fall of the binary entropy by not confusing.

    `H2(q) - H2(p)`, with `H2(x) = -x*log2(x) - (1-x)*log2(1-x)`, 0 at 0 and 1; Shannon
    (1948). Below a rate of 1/2 a better group has more entropy: the sign turns.

    Args:
        p: Mean response of the comparison group, in [0, 1].
        q: Mean response of the confused group, in [0, 1].

    Returns:
        Bits in [-1, 1], in the broadcast shape.

    Raises:
        ValueError: If a rate is outside [0, 1].

    Example:
        >>> float(entropy_bits(1.0, 0.5))
        1.0
    """
    return _entropy(check_shares("q", q)) - _entropy(check_shares("p", p))


def mutual_information_bits(
    true_positive_rate: ArrayLike, false_positive_rate: ArrayLike, *, prior: ArrayLike
) -> FloatArray:
    """Information in one group's answer "T" on whether an image shows T.

    `I(1[y=T]; 1[answer=T]) = H2(prior*TPR + (1-prior)*FPR) - prior*H2(TPR) -
    (1-prior)*H2(FPR)`; Shannon (1948). Subtract the confused group's value from the
    comparison group's: that is the reading, positive for a gain by not confusing.

    Args:
        true_positive_rate: Share of T's images called T, in [0, 1].
        false_positive_rate: Share of the other images called T, in [0, 1].
        prior: Share of T's images among all test images, in [0, 1].

    Returns:
        Bits in [0, H2(prior)], in the broadcast shape.

    Raises:
        ValueError: If an argument is outside [0, 1].

    Example:
        >>> comparison = mutual_information_bits(0.70, 0.033, prior=0.1)
        >>> confused = mutual_information_bits(0.65, 0.039, prior=0.1)
        >>> round(float(comparison - confused), 4)
        0.0296
    """
    tpr = check_shares("true_positive_rate", true_positive_rate)
    fpr = check_shares("false_positive_rate", false_positive_rate)
    prior = check_shares("prior", prior)
    answer = _entropy(prior * tpr + (1 - prior) * fpr)
    given_image = prior * _entropy(tpr) + (1 - prior) * _entropy(fpr)
    # Rounding can leave less than nothing where the answer is independent of T.
    return np.maximum(answer - given_image, 0)


def log_likelihood_bits(comparison: ArrayLike, confused: ArrayLike) -> FloatArray:
    """Gain of log-likelihood by not confusing: `comparison - confused`.

    Args:
        comparison: Mean log2-probability of the true class over T's test images, in
            [-inf, 0], of the comparison group.
        confused: The same of the confused group.

    Returns:
        Bits per test image, in the broadcast shape; NaN where both are -inf.

    Example:
        >>> round(float(log_likelihood_bits(-0.80, -0.95)), 2)
        0.15
    """
    with np.errstate(invalid="ignore"):
        return np.subtract(comparison, confused, dtype=np.float64)


def _entropy(share: FloatArray) -> FloatArray:
    return (scipy.special.entr(share) + scipy.special.entr(1 - share)) / np.log(2)
