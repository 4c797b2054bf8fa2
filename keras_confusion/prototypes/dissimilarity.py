"""How alike prototypes look to a network: features in, dissimilarities out.

Features have shape (..., target class, origin class, d): the feature vector g(P[k, j])
right before the classification layer, where P[k, j] is class j's prototype trained on
to class k, and P[k, k] that of class k. Leading axes (interval, initialisation) are
kept everywhere, and float32 stays float32.

The dissimilarity of two images is `d(x, y) = 1 - cos(g(x), g(y))` (poster, section 5).
A feature vector that is zero or not finite has no direction: what is compared with it
is NaN, itself included.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
Kind = Literal["inter", "intra"]
Definition = Literal["pooled", "of_means"]


@dataclass(frozen=True, eq=False)
class Trend:
    """Mean and sd of a matrix of dissimilarities, from `trend`; of its leading shape.

    `num_values` cells are neither self-comparisons nor undefined: the mean and sd
    (ddof = 0) are theirs, NaN if there are none. Each pair of images fills two cells.
    """

    mean: FloatArray
    sd: FloatArray
    num_values: NDArray[np.int64]
    num_undefined: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassCosines:
    """Cosines within and between classes, from `class_cosines`; of its leading shape.

    Variances have ddof = 0. Pairs with one of `num_undefined` vectors are left out.
    """

    within_mean: FloatArray
    within_variance: FloatArray
    between_mean: FloatArray
    between_variance: FloatArray
    num_undefined: NDArray[np.int64]


def inter_class(features: ArrayLike) -> FloatArray:
    """Matrix C: dissimilarities of prototypes with one origin and different targets.

    `C[..., k, j, i] = d(P[k, j], P[i, j])` (poster, section 5).

    Args:
        features: Shape (..., n, n, d) as (target, origin, feature).

    Returns:
        Shape (..., n, n, n), in [0, 1] for non-negative features, else in [0, 2];
        exactly 0 where i = k; NaN for vectors without direction. It takes n^3 numbers
        (4 MB in float32 for 100 classes), and meanwhile twice the features' memory.

    Raises:
        ValueError: If the features are not real numbers of that shape, n >= 2, d >= 1.

    Example:
        >>> features = [[[1, 0], [3, 4]], [[0, 2], [4, 3]]]
        >>> inter_class(features).round(2).tolist()
        [[[0.0, 1.0], [0.0, 0.04]], [[1.0, 0.0], [0.04, 0.0]]]
    """
    by_origin = unit_vectors(_checked(features)).swapaxes(-3, -2)
    return np.ascontiguousarray(_compare_rows(by_origin).swapaxes(-3, -2))


def intra_class(features: ArrayLike) -> FloatArray:
    """Matrix R: dissimilarities of prototypes with one target and different origins.

    `R[..., k, j, i] = d(P[k, j], P[k, i])` (poster, section 5).

    Args:
        features: As for `inter_class`, errors included.

    Returns:
        As `inter_class`, with exact zeros where i = j.

    Example:
        >>> features = [[[1, 0], [3, 4]], [[0, 2], [4, 3]]]
        >>> intra_class(features).round(2).tolist()
        [[[0.0, 0.4], [0.4, 0.0]], [[0.0, 0.4], [0.4, 0.0]]]
    """
    return _compare_rows(unit_vectors(_checked(features)))


def count_undefined(features: ArrayLike) -> NDArray[np.int64]:
    """Number of feature vectors without direction, of the leading shape.

    Args:
        features: As for `inter_class`, errors included.

    Example:
        >>> int(count_undefined([[[1, 0], [0, 0]], [[0, 2], [4, 3]]]))
        1
    """
    units = unit_vectors(_checked(features))
    return np.isnan(units[..., 0]).sum(axis=(-2, -1))


def trend(matrix: ArrayLike, kind: Kind) -> Trend:
    """Mean and standard deviation of C or R, without self-comparisons.

    Poster, section 7. The sd has ddof = 0: these cells are not independent draws.

    Args:
        matrix: Result of `inter_class` or `intra_class`, shape (..., n, n, n).
        kind: "inter" for C, "intra" for R: they hold self-comparisons in other cells.

    Raises:
        ValueError: If `matrix` or `kind` is not as above, or they do not fit.

    Example:
        >>> result = trend(inter_class([[[1, 0], [3, 4]], [[0, 2], [4, 3]]]), "inter")
        >>> round(float(result.mean), 2), round(float(result.sd), 2)
        (0.52, 0.48)
    """
    values = _comparisons(matrix, kind)
    mean, sd, number = _mean_and_sd(values)
    return Trend(mean, sd, num_values=number, num_undefined=values.shape[-1] - number)


def outliers(
    matrix: ArrayLike,
    kind: Kind,
    *,
    definition: Definition = "pooled",
    threshold: float = 3.0,
) -> Any:
    """Share of dissimilarities with |z| > threshold, without self-comparisons.

    Poster, section 8: "with respect to the interval's mean and std". Two readings:

    - "pooled": those of all values. At most 1/threshold^2 of them are then outliers, by
      Chebyshev's inequality: 1/9 at a threshold of 3. So the poster's 25 to 42 % for
      CIFAR-10, and its 14 % for CIFAR-100, cannot be pooled.
    - "of_means": those of the means of the n x n arrays [k, j, :]. Means spread less
      than what they average, so any share can occur.

    Args:
        matrix: As for `trend`.
        kind: As for `trend`.
        definition: "pooled" or "of_means".
        threshold: Largest |z| that is no outlier, above 0.

    Returns:
        Shares in [0, 1], of the leading shape, without undefined values; NaN where the
        sd is 0 up to rounding, or does not exist.

    Raises:
        ValueError: As `trend`, or if `definition` or `threshold` is another one.

    Example:
        >>> C = inter_class(np.random.default_rng(0).random((10, 10, 32)))
        >>> round(float(outliers(C, "inter")), 3)
        0.007
        >>> round(float(outliers(C, "inter", definition="of_means")), 3)
        0.14
    """
    if definition not in get_args(Definition) or not 0 < threshold < np.inf:
        raise ValueError(
            f"Expected `definition` in {get_args(Definition)} and `threshold` > 0. "
            f"Received: {definition!r}, {threshold!r}. Use 'pooled' and 3, as a start."
        )
    values = _comparisons(matrix, kind)
    mean, sd, number = _mean_and_sd(values)
    if definition == "of_means":
        arrays = values.reshape(*values.shape[:-1], -1, np.shape(matrix)[-1] - 1)
        mean, sd, _ = _mean_and_sd(_mean_and_sd(arrays)[0])
    # 1 - cos is rounded to the precision of 1: a smaller spread is no spread.
    divisor = np.where(sd > 10 * np.finfo(values.dtype).eps, number, np.nan)
    far = np.abs(values - mean[..., None]) > threshold * sd[..., None]
    return (far.sum(axis=-1) / divisor).astype(values.dtype)


def separation(class_features: ArrayLike) -> Any:
    """Data-free quality M_g: how far apart the class prototypes are.

    `M_g = 1 - (1/n^2) * sum over i != j of cos(g(p_i), g(p_j))`; Dean & Sarkar, arXiv
    2305.15563. The divisor counts the zero diagonal too, as in their released code
    (UMMLearn/FantasticNetworksNoData, train.py): identical prototypes give 1/n.

    Args:
        class_features: Features of the class prototypes, shape (..., n, d).

    Returns:
        M_g of the leading shape, in [1/n, 1] for non-negative features, else up to
        1 + 1/n. NaN if a vector has no direction: fewer classes change the range.

    Raises:
        ValueError: If the features are not real numbers of that shape, n >= 2, d >= 1.

    Example:
        >>> round(float(separation([[1, 0], [4, 3]])), 3)
        0.6
    """
    features = _checked(class_features, axes="n, d")
    n = features.shape[-2]
    # n of all these cosines are those of a prototype with itself.
    cosines, _ = _sums_of_cosines(unit_vectors(features))
    return (1 - (cosines - n) / n**2).astype(features.dtype)


def adversarial_agreement(
    class_features: ArrayLike, adversarial_features: ArrayLike
) -> Any:
    """Data-free quality M_adv: how far an attack has to move the prototypes' features.

    `M_adv = 1 - (1/n) * sum over i of cos(g(p_i), g(a_i))`, a_i being p_i after a
    DeepFool attack; Dean & Sarkar, arXiv 2305.15563. 0 is full agreement.

    Args:
        class_features: Features of the class prototypes p_i, shape (..., n, d).
        adversarial_features: Features of their attacked images a_i, the same shape.

    Returns:
        M_adv of the leading shape, in [0, 1] for non-negative features, else in [0, 2].

    Raises:
        ValueError: As `separation`, or if the shapes differ.

    Example:
        >>> round(float(adversarial_agreement([[1, 0], [4, 3]], [[3, 4], [4, 3]])), 3)
        0.2
    """
    both = class_features, adversarial_features
    units, attacked = [unit_vectors(_checked(f, axes="n, d")) for f in both]
    if units.shape != attacked.shape:
        raise ValueError(
            "Expected class and adversarial features of one shape. Received: "
            f"{units.shape} and {attacked.shape}. Use one attacked image per class."
        )
    return np.clip(1 - (units * attacked).sum(axis=-1).mean(axis=-1), 0, 2)


def class_cosines(features: ArrayLike) -> ClassCosines:
    """Means and variances of cosines within and between classes.

    After Dean & Sarkar, arXiv 2407.13000; the choice of pairs is this project's:

    - within: P[k, j] and P[k, i], j != i, as in R;
    - between: P[k, j] and P[i, l], k != i, whatever the origins (C has j = l only).

    Args:
        features: As for `inter_class`, errors included.

    Returns:
        A `ClassCosines`; from float64 sums, in three times their features' memory.

    Example:
        >>> result = class_cosines([[[1, 0], [3, 4]], [[0, 2], [4, 3]]])
        >>> round(float(result.within_mean), 3), round(float(result.between_mean), 3)
        (0.6, 0.64)
    """
    features = _checked(features)
    within = trend(intra_class(features), "intra")
    # A vector of zeros adds nothing to the sums.
    units = np.nan_to_num(unit_vectors(features.astype(np.float64)))
    rows = units.reshape(*units.shape[:-3], -1, units.shape[-1])
    per_target = units.any(axis=-1).sum(axis=-1)
    images = per_target.sum(axis=-1)
    # All ordered pairs, less those of one target.
    number = images**2 - (per_target**2).sum(axis=-1)
    sums = _sums_of_cosines(rows) - _sums_of_cosines(units).sum(axis=-1)
    mean, square = sums / np.where(number > 0, number, np.nan)
    return ClassCosines(
        within_mean=1 - within.mean,
        within_variance=within.sd**2,
        between_mean=mean.astype(features.dtype),
        between_variance=np.maximum(square - mean**2, 0).astype(features.dtype),
        num_undefined=rows.shape[-2] - images,
    )


def _checked(features: ArrayLike, *, axes: str = "n, n, d") -> FloatArray:
    array = np.asarray(features)
    n, num_class_axes = array.shape[-2:-1], axes.count("n")
    square = array.shape[-1 - num_class_axes : -1] == n * num_class_axes
    if not (square and n >= (2,) and array.size and array.dtype.kind in "biuf"):
        raise ValueError(
            f"Expected real features of shape (..., {axes}) with n >= 2 and d >= 1. "
            f"Received: {array.dtype} of shape {array.shape}. Use the classes' axes, "
            "target before origin, then features."
        )
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def unit_vectors(features: FloatArray) -> FloatArray:
    """Features of length 1; NaN where there is no direction."""
    largest = np.abs(features).max(axis=-1, keepdims=True)
    # Squares of tiny or huge values would be 0 or infinite: scale first.
    units = features / np.where((largest > 0) & (largest < np.inf), largest, np.nan)
    return units / np.linalg.norm(units, axis=-1, keepdims=True)


def _compare_rows(units: FloatArray) -> FloatArray:
    """1 - cos of the rows of every matrix: (..., m, d) to (..., m, m)."""
    # Rounding leaves cosines slightly above 1.
    compared = np.clip(1 - np.matmul(units, units.swapaxes(-1, -2)), 0, 2)
    # The diagonal times 0, not 0: a vector without direction keeps its NaN.
    compared *= ~np.eye(compared.shape[-1], dtype=bool)
    return compared


def _sums_of_cosines(units: FloatArray) -> FloatArray:
    """Sums of cosines and of their squares over all ordered pairs of rows, (2, ...)."""
    columns = units.swapaxes(-1, -2)
    # U U' and U' U have the same sum of squares: take the smaller one.
    wide = units.shape[-1] > units.shape[-2]
    product = units @ columns if wide else columns @ units
    total = (units.sum(axis=-2) ** 2).sum(axis=-1)
    return np.stack([total, (product**2).sum(axis=(-2, -1))])


def _comparisons(matrix: ArrayLike, kind: Kind) -> FloatArray:
    """The cells without self-comparisons, in their order: shape (..., n^2 * (n-1))."""
    values = np.asarray(matrix)
    cube = values.ndim >= 3 and len(set(values.shape[-3:])) == 1
    n = values.shape[-1] if cube and values.dtype.kind == "f" else 0
    k, j, i = np.indices((n, n, n))
    is_self = i == (k if kind == "inter" else j)
    fits = n >= 2 and kind in get_args(Kind)
    if not fits or np.any(np.abs(values[..., is_self]) > 0):
        raise ValueError(
            "Expected floats of shape (..., n, n, n), n >= 2, with self-comparisons of "
            f"0 or NaN, and their kind. Received: {values.dtype} of {values.shape}, "
            f"{kind!r}. Use 'inter' for `inter_class`, 'intra' for `intra_class`."
        )
    return values[..., ~is_self]


def _mean_and_sd(values: FloatArray) -> tuple[Any, Any, Any]:
    """Mean, sd (ddof = 0) and number of what is not NaN along the last axis."""
    used = ~np.isnan(values)
    number = used.sum(axis=-1)
    divisor = np.where(number > 0, number, np.nan)
    mean = values.sum(axis=-1, where=used, dtype=np.float64) / divisor
    squares = (values - mean[..., None]) ** 2
    sd = np.sqrt(squares.sum(axis=-1, where=used) / divisor)
    return mean.astype(values.dtype), sd.astype(values.dtype), number
