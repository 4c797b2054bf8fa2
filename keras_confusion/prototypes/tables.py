"""Tables of a prototype study: C, R, quality and boundaries over the training.

A study is an `xarray.Dataset` with the dimensions interval (percent of training),
initialisation, target, origin (class names), height, width, channel and feature. It may
be larger than the memory: it is read one (interval, initialisation) at a time, and only
where `finished` says that all images are there.

An image that did not converge is no prototype. Its features count as undefined: it
enters neither C nor R nor any cosine, and `num_not_converged` tells of it.
"""

from typing import get_args

import numpy as np
import pandas as pd
import xarray as xr

from keras_confusion.prototypes import dissimilarity
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.dissimilarity import Definition, FloatArray, Kind

_MATRICES: dict[str, Kind] = {"c": "inter", "r": "intra"}
_POSTER_MEASURES = ["mean_c", "sd_c", "mean_r", "sd_r"]
_DISTANCES = ["to_target", "to_origin"]
# Features that nothing is known of: every measure of them is NaN.
_NOTHING = np.full((2, 2, 1), np.nan)


def by_initialisation(study: xr.Dataset) -> pd.DataFrame:
    """Everything that is measured on the prototypes of one initialisation.

    Args:
        study: A prototype study.

    Returns:
        One row per finished interval and initialisation, with the columns

        - interval (percent of training), initialisation;
        - mean_c, sd_c, mean_r, sd_r: mean and standard deviation (ddof = 0) of the
          dissimilarities in C and R, in [0, 1] for features that are not negative
          (poster, sections 5 and 7; `dissimilarity.trend`);
        - outliers_c_pooled, outliers_c_of_means, and the same for r: share in [0, 1]
          of dissimilarities with |z| > 3 (poster, section 8; `dissimilarity.outliers`);
        - m_g: data-free quality in [1/n, 1] (arXiv 2305.15563;
          `dissimilarity.separation`), NaN unless all n class prototypes converged;
        - m_adv: data-free quality in [0, 1], 0 where an attack does not change the
          features (arXiv 2305.15563; `dissimilarity.adversarial_agreement`), over the
          `num_adversarial` converged class prototypes whose attack succeeded;
        - within_cosine_mean, within_cosine_variance, between_cosine_mean,
          between_cosine_variance (arXiv 2407.13000; `dissimilarity.class_cosines`);
        - num_prototypes, n^2; num_not_converged of them, which are left out of all of
          the above; num_undefined, which converged but whose feature vector is zero or
          not finite, left out too; num_misclassified, which the network takes for
          another class than their target;
        - mean_iterations_class, mean_iterations_intermediary: updates per image, those
          of images that did not converge included;
        - test_accuracy of the network at the interval, in [0, 1].
    """
    return pd.DataFrame(
        [_measurements(part) for part in prototype_store.finished(study)]
    )


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """How every measure develops with the training.

    Args:
        table: As `by_initialisation` returns it.

    Returns:
        One row per interval: interval, test_accuracy, n_initialisations, and for every
        other column three: `<name>`, its mean over the initialisations, `<name>_sd`,
        their standard deviation (ddof = 1, NaN for one of them), and `<name>_n`, for
        how many it is defined. Units are those of `by_initialisation`: `sd_c` is the
        mean of the sds, as the poster plots it (section 7), `sd_c_sd` their sd.

        All initialisations belong to one network: these sds tell how repeatable the
        images are, not how repeatable the training is.
    """
    # One network: its accuracy does not depend on the initialisation.
    keys = ["interval", "test_accuracy"]
    groups = table.drop(columns="initialisation").groupby(keys, dropna=False)
    return _over_initialisations(groups)


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Share of outliers, as in the poster's chart (section 8).

    Args:
        table: As `by_initialisation` returns it.

    Returns:
        One row per interval, matrix ("C" or "R") and definition ("pooled" or
        "of_means", see `dissimilarity.outliers`): percent, the mean over the
        initialisations; percent_sd, their standard deviation (ddof = 1);
        n_initialisations for which it is defined.
    """
    percent = 100 * table.filter(regex="^outliers_")
    long = percent.assign(interval=table["interval"]).melt(
        "interval", value_name="percent"
    )
    long[["matrix", "definition"]] = long["variable"].str.extract("outliers_(.)_(.+)")
    long["matrix"] = long["matrix"].str.upper()
    groups = long.groupby(["interval", "matrix", "definition"])[["percent"]]
    result = _mean_sd_n(groups).reset_index()
    return result.rename(columns={"percent_n": "n_initialisations"})


def first_to_last(table: pd.DataFrame) -> pd.DataFrame:
    """Whether dissimilarities grow with training (poster, section 7).

    Differences are taken within an initialisation. All of them belong to one network:
    they repeat the images and not the training. A rise in all of them is a finding
    about this network, and not about networks in general.

    Args:
        table: As `by_initialisation` returns it.

    Returns:
        One row for each measure mean_c, sd_c, mean_r and sd_r: measure,
        first_interval, last_interval (percent of training), first and last (means over
        the initialisations), change (last - first), change_sd over initialisations
        (ddof = 1), num_rising, n_initialisations. Only initialisations where the
        measure is defined at both intervals are used. Of one interval, changes are 0.
    """
    first, last = table["interval"].min(), table["interval"].max()
    measures = table.set_index(["interval", "initialisation"])[_POSTER_MEASURES]
    before, after = measures.loc[first], measures.loc[last]
    # NaN where an initialisation is missing or undefined at one of the two.
    change = after - before
    result = pd.DataFrame(
        {
            "first_interval": first,
            "last_interval": last,
            "first": before.where(change.notna()).mean(),
            "last": after.where(change.notna()).mean(),
            "change": change.mean(),
            "change_sd": change.std(),
            "num_rising": (change > 0).sum(),
            "n_initialisations": change.count(),
        }
    )
    return result.rename_axis("measure").reset_index()


def mean_matrix(study: xr.Dataset, interval_index: int, kind: Kind) -> FloatArray:
    """C or R at an interval, averaged over the finished initialisations.

    Args:
        study: A prototype study.
        interval_index: Position of the interval, from 0.
        kind: "inter" for C, "intra" for R.

    Returns:
        Shape (n, n, n) as in `dissimilarity`: C[k, j, i] compares the targets k and i
        of origin j, R[k, j, i] the origins j and i of target k. A cell is the mean over
        the initialisations where it is defined, NaN if there are none; 0 where i = k
        (C) or i = j (R).

    Raises:
        ValueError: If no initialisation is finished at that interval.
    """
    parts = prototype_store.finished(study.isel(interval=[interval_index]))
    matrices = np.stack([prototype_store.matrix(part, kind) for part in parts])
    defined = ~np.isnan(matrices)
    number = defined.sum(axis=0)
    total = np.where(defined, matrices, 0).sum(axis=0)
    return total / np.where(number > 0, number, np.nan)


def prototypes(study: xr.Dataset) -> pd.DataFrame:
    """Every class prototype (target = origin) and intermediary prototype.

    Args:
        study: A prototype study.

    Returns:
        One row per image of the finished parts: interval (percent of training),
        initialisation, target and origin (names), loss (cross-entropy toward the
        target, nats), iterations (updates), converged, predicted (name of the class
        that the network takes it for).
    """
    columns = ["loss", "iterations", "converged", "predicted"]
    table = _one_row_per_image(study, columns)
    table["predicted"] = study["target"].values[table["predicted"].to_numpy(int)]
    return table


def boundary_prototypes(study: xr.Dataset) -> pd.DataFrame:
    """Every boundary prototype b[k, j], where classes k and j tie (poster, section 9).

    Args:
        study: A prototype study.

    Returns:
        One row per image of the finished parts, target and origin differing: interval
        (percent of training), initialisation, target (k) and origin (j), loss,
        iterations, converged, absolute_gap (between the logits of k and j), to_target,
        d(b[k, j], p_k), and to_origin, d(b[k, j], p_j), dissimilarities in [0, 1] for
        features that are not negative. These two are NaN where the boundary prototype
        or the class prototype did not converge or has a feature vector that is zero.
    """
    variables = ["loss", "iterations", "converged", "gap"]
    table = _one_row_per_image(study, [f"boundary_{name}" for name in variables])
    table.columns = table.columns.str.removeprefix("boundary_")
    table["absolute_gap"] = table.pop("gap").abs()
    to_target, to_origin = [], []
    for part in prototype_store.finished(study):
        boundary = dissimilarity.unit_vectors(
            prototype_store.converged_features(part, "boundary_")
        )
        units = dissimilarity.unit_vectors(prototype_store.converged_features(part))
        class_units = np.einsum("kkd->kd", units)
        to_target.append((boundary * class_units[:, None]).sum(axis=-1).ravel())
        to_origin.append((boundary * class_units).sum(axis=-1).ravel())
    # Rounding leaves cosines slightly above 1.
    table["to_target"] = np.clip(1 - np.concatenate(to_target), 0, 2)
    table["to_origin"] = np.clip(1 - np.concatenate(to_origin), 0, 2)
    return table[table["target"] != table["origin"]].reset_index(drop=True)


def boundaries(table: pd.DataFrame) -> pd.DataFrame:
    """How far the boundary between two classes is from their prototypes.

    And how that varies with training (poster, section 9).

    Args:
        table: As `boundary_prototypes` returns it.

    Returns:
        One row per pair of a target and another class, the origin: target, origin;
        to_target, to_target_sd, to_target_n: dissimilarity to the target's class
        prototype, averaged over initialisations, then its mean, sd (ddof = 1) and
        number over the intervals where it is defined; to_origin and so on for the
        origin's; share_converged and mean_absolute_gap over all images of the pair.
    """
    pair = ["target", "origin"]
    distances = table.groupby([*pair, "interval"], sort=False)[_DISTANCES].mean()
    result = _mean_sd_n(distances.groupby(level=pair, sort=False))
    images = table.groupby(pair, sort=False)
    result["share_converged"] = images["converged"].mean()
    result["mean_absolute_gap"] = images["absolute_gap"].mean()
    return result.reset_index()


def boundary_trends(table: pd.DataFrame) -> pd.DataFrame:
    """How boundary prototypes develop with the training, to be read beside `trends`.

    Args:
        table: As `boundary_prototypes` returns it.

    Returns:
        One row per interval: interval, n_initialisations, and, with `_sd` and `_n` as
        in `trends`, mean_to_target, sd_to_target, mean_to_origin, sd_to_origin (over
        the pairs of one initialisation, ddof = 0, as mean_c and sd_c),
        share_converged and mean_absolute_gap.
    """
    parts = table.groupby(["interval", "initialisation"])
    measures = {}
    for column in _DISTANCES:
        measures[f"mean_{column}"] = parts[column].mean()
        measures[f"sd_{column}"] = parts[column].std(ddof=0)
    measures["share_converged"] = parts["converged"].mean()
    measures["mean_absolute_gap"] = parts["absolute_gap"].mean()
    return _over_initialisations(pd.DataFrame(measures).groupby(level="interval"))


def _measurements(part: xr.Dataset) -> dict:
    """A row of `by_initialisation`; a live study may lack origins and features."""
    row: dict = {
        "interval": float(part["interval"]),
        "initialisation": int(part["initialisation"]),
        "test_accuracy": float(part["test_accuracy"]),
    }
    converged, iterations = part["converged"].values, part["iterations"].values
    classes = np.arange(len(converged))
    has_origins = converged.ndim == 2
    features = np.full((*converged.shape, 1), np.nan)
    if "features" in part:
        features = prototype_store.converged_features(part)
    class_features = features[classes, classes] if has_origins else features
    row |= _of_pairs(features if has_origins else _NOTHING)
    row["m_g"] = float(dissimilarity.separation(class_features))
    row |= _adversarial(part, class_features)
    is_class = np.eye(len(classes), dtype=bool) if has_origins else converged | True
    intermediary = iterations[~is_class].mean() if has_origins else np.nan
    undefined = np.isnan(dissimilarity.unit_vectors(features)[..., 0]).sum()
    return row | {
        "num_prototypes": converged.size,
        "num_not_converged": int((~converged).sum()),
        "num_undefined": int(undefined - (~converged).sum()),
        "num_misclassified": int((classes != part["predicted"].values.T).sum()),
        "mean_iterations_class": iterations[is_class].mean(),
        "mean_iterations_intermediary": intermediary,
    }


def _of_pairs(features: FloatArray) -> dict:
    """C, R and cosines: what is measured on intermediary prototypes."""
    row: dict = {}
    for name, kind in _MATRICES.items():
        matrix = prototype_store.compare(features, kind)
        trend = dissimilarity.trend(matrix, kind)
        row[f"mean_{name}"] = float(trend.mean)
        row[f"sd_{name}"] = float(trend.sd)
        for definition in get_args(Definition):
            share = dissimilarity.outliers(matrix, kind, definition=definition)
            row[f"outliers_{name}_{definition}"] = float(share)
    cosines = dissimilarity.class_cosines(features)
    for name in ("within_mean", "within_variance", "between_mean", "between_variance"):
        row[name.replace("_", "_cosine_")] = float(getattr(cosines, name))
    return row


def _adversarial(part: xr.Dataset, class_features: FloatArray) -> dict:
    """M_adv, and how many attacked class prototypes it is the mean of."""
    if "adversarial_features" not in part:
        return {"m_adv": np.nan, "num_adversarial": 0}
    attacked = part["adversarial_features"].where(part["adversarial_fooled"])
    both = dissimilarity.unit_vectors(np.stack([class_features, attacked.values]))
    used = np.isfinite(both).all(axis=(0, -1))
    m_adv = np.nan
    if used.sum() >= 2:
        m_adv = float(dissimilarity.adversarial_agreement(*both[:, used]))
    return {"m_adv": m_adv, "num_adversarial": int(used.sum())}


def _one_row_per_image(study: xr.Dataset, variables: list[str]) -> pd.DataFrame:
    """Variables of the finished parts in long form, in the order of the features."""
    parts = [
        part[variables].to_dataframe().reset_index()
        for part in prototype_store.finished(study)
    ]
    axes = ["interval", "initialisation", "target", "origin"]
    return pd.concat(parts, ignore_index=True)[[*axes, *variables]]


def _over_initialisations(groups) -> pd.DataFrame:
    """One row per interval, of measures grouped by it."""
    result = _mean_sd_n(groups)
    result.insert(0, "n_initialisations", groups.size())
    return result.reset_index()


def _mean_sd_n(groups) -> pd.DataFrame:
    """Columns `<name>`, `<name>_sd` (ddof = 1) and `<name>_n` of grouped columns."""
    suffixes = {"mean": "", "std": "_sd", "count": "_n"}
    result = groups.agg(list(suffixes))
    result.columns = [name + suffixes[statistic] for name, statistic in result.columns]
    return result
