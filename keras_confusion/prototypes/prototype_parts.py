"""What is compared of one finished (interval, initialisation) of a prototype study.

An image that did not converge is no prototype: its features count as undefined.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from keras_confusion.prototypes import dissimilarity
from keras_confusion.prototypes.dissimilarity import FloatArray, Kind

_COMPARE = {"inter": dissimilarity.inter_class, "intra": dissimilarity.intra_class}


def finished(study: xr.Dataset) -> Iterator[xr.Dataset]:
    """What is finished, one interval and initialisation after the other.

    Args:
        study: A prototype study, see `prototypes.tables`.

    Raises:
        ValueError: If nothing is finished.
    """
    is_finished = study["finished"].values
    if not is_finished.any():
        raise ValueError(
            "Expected a finished interval and initialisation. Received: none "
            "finished. Wait for the first, or go on with the study."
        )
    for interval, initialisation in np.argwhere(is_finished).tolist():
        yield study.isel(interval=interval, initialisation=initialisation)


def converged_features(part: xr.Dataset, prefix: str = "") -> FloatArray:
    """Features (target, origin, feature), NaN for images that did not converge."""
    return part[f"{prefix}features"].where(part[f"{prefix}converged"]).values


def matrix(part: xr.Dataset, kind: Kind) -> FloatArray:
    """C or R of one interval and initialisation.

    Args:
        part: A prototype study at one interval and initialisation.
        kind: "inter" for C, "intra" for R.

    Returns:
        Shape (n, n, n) as in `dissimilarity`: C[k, j, i] compares the targets k and i
        of origin j, R[k, j, i] the origins j and i of target k; NaN where one of the
        two images did not converge.
    """
    return _COMPARE[kind](converged_features(part))
