"""What the units before the classification layer do for a class: arrays in, arrays out.

With h(x) the feature vector of an image, logits z(x) = h(x) W + b, and p the softmax
over the classes outside the confused pair, the study's `log_likelihood_bits` without
the pair is about log2 p_T(x), its mean over the test images of class T. How it differs
between the baseline network and the confused one, z', is told apart by units exactly:
along the straight way from z to z',

    log p'_T - log p_T = sum over classes k of g_k (z'_k - z_k),
    g_k = integral over t from 0 to 1 of 1[k = T] - p_k(z + t (z' - z)),

(integrated gradients: Sundararajan, Taly and Yan 2017, arXiv 1703.01365; the
Aumann-Shapley value), and every z_k is a sum over units. So the *use* of unit u for T
is

    mean over T's images of h_u(x) * sum over k of g_k(x) W[u, k], in bits:

what the unit says for T and against the classes that T is mistaken for, image by image
as much as it matters there. The changes of all uses and of the biases' part add up to
that of the log-probability. Where a unit that was used for T is used less once a and b
are confused, T had it from them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.special

NETWORKS = ("baseline", "confused")
# Of Gauss-Legendre quadrature.
_NUM_NODES = 64


@dataclasses.dataclass(frozen=True, eq=False)
class ReadUnits:
    """Units of one network, and how its classification layer reads them.

    Args:
        features: Float array `(n, d)`, activations on n images.
        kernel: Of the classification layer, `(d, K)`.
        bias: `(K,)`.
    """

    features: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits of some images, given by a mask or numbers: float64 `(m, K)`."""
        return self.features[images].astype(np.float64) @ self.kernel + self.bias


Networks = tuple[ReadUnits, ReadUnits]


@dataclasses.dataclass(frozen=True, eq=False)
class ClassUses:
    """What units do for one class, in the baseline network and the confused one.

    Args:
        log_probability: Mean log2-probability of the class on its images, `(2,)`.
        uses: Of every unit, bits, `(2, d)`.
        bias_uses: The same of the biases, `(2,)`.
        weighted_features: `(2, K, d)`, mean over images of g_k(x) h_u(x), bits.
    """

    log_probability: np.ndarray
    uses: np.ndarray
    bias_uses: np.ndarray
    weighted_features: np.ndarray


def class_uses(
    networks: Networks, labels: np.ndarray, label: int, among: Sequence[int]
) -> ClassUses:
    """The use of every unit for a class, see above.

    Args:
        networks: The baseline network and the confused one, on the same images.
        labels: int array `(n,)`, classes of the images.
        label: The class T, of at least one image.
        among: Labels that it is chosen from: T and its rivals.

    Returns:
        `ClassUses`.
    """
    images = labels == label
    own, columns = list(among).index(label), list(among)
    logits = [network.logits(images) for network in networks]
    way = [network_logits[:, columns] for network_logits in logits]
    is_class = np.eye(len(columns))[own]
    nodes, weights = np.polynomial.legendre.leggauss(_NUM_NODES)
    gradients = np.zeros_like(logits[0])
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        shares = scipy.special.softmax(way[0] + node * (way[1] - way[0]), axis=1)
        gradients[:, columns] += weight * (is_class - shares)
    gradients /= np.log(2)
    weighted = np.stack(
        [gradients.T @ network.features[images] / images.sum() for network in networks]
    )
    return ClassUses(
        log_probability=np.array(
            [
                scipy.special.log_softmax(network_logits, axis=1)[:, own].mean()
                for network_logits in way
            ]
        )
        / np.log(2),
        uses=np.stack(
            [
                (network_features * network.kernel.T).sum(axis=0)
                for network_features, network in zip(weighted, networks, strict=True)
            ]
        ),
        bias_uses=np.array(
            [gradients.mean(axis=0) @ network.bias for network in networks]
        ),
        weighted_features=weighted,
    )


def class_means(features: np.ndarray, labels: np.ndarray, num_classes: int):
    """Mean activation of every unit on the images of every class.

    Args:
        features: Float array `(n, d)`.
        labels: int array `(n,)`.
        num_classes: Number of classes, K.

    Returns:
        float64 `(K, d)`; NaN for a class without images.
    """
    sums = np.zeros((num_classes, features.shape[1]))
    np.add.at(sums, labels, features.astype(np.float64))
    counts = np.bincount(labels, minlength=num_classes)[:, None]
    with np.errstate(invalid="ignore"):
        return sums / counts
