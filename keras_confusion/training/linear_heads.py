"""Linear softmax heads on the frozen features of a network.

A new last layer, fitted to the right labels, reads off the features what they hold,
whatever labels the network's own last layer was trained on: a linear probe (Alain and
Bengio 2016, arXiv 1610.01644), last-layer retraining (Kirichenko, Izmailov and Wilson
2022, arXiv 2204.02937). Fitted to swapped labels on the features of an untouched
network it shows the opposite: what a last layer alone makes of these labels.
"""

import warnings

import numpy as np
import sklearn.exceptions
import sklearn.linear_model
import threadpoolctl

# Of half the sum of the squared weights on standardised features, beside the mean
# cross-entropy in nats.
PENALTY = 1e-4
# Largest entry of the gradient where a fit ends. d' is then within 0.003 of that of a
# fit by Newton's method, and within 0.001 as a mean without a pair (CIFAR-10).
TOLERANCE = 1e-4
# Of wide features that separate the training examples, in steps that get longer.
MAX_ITERATIONS = 300
# Of feature values that heads are fitted to: 50,000 examples of 1,342 features.
MAX_VALUES = 2**26
# Fewer examples a class do not fit a head.
MIN_EXAMPLES_A_CLASS = 10


def fitted_examples(num_examples: int, num_features: int) -> np.ndarray:
    """Which training examples heads are fitted to: all, while they are not too wide.

    Args:
        num_examples: Number of training examples, n.
        num_features: Features of each, d.

    Returns:
        int array, sorted: all n, or `MAX_VALUES // d` of them, always the same.
    """
    num_fitted = min(num_examples, MAX_VALUES // num_features)
    if num_fitted == num_examples:
        return np.arange(num_examples)
    return np.sort(np.random.default_rng(0).permutation(num_examples)[:num_fitted])


class LinearHeads:
    """Fits heads to the features of one network.

    Args:
        train_features: Float array `(n, d)`.
        test_features: Float array `(num_test, d)`.
        num_classes: Number of classes, K.
    """

    def __init__(
        self, train_features: np.ndarray, test_features: np.ndarray, num_classes: int
    ):
        mean, sd = train_features.mean(axis=0), train_features.std(axis=0)
        # Features that are always the same stay 0.
        scale = np.where(sd > 0, sd, 1)
        self._train, self._test = (
            np.ascontiguousarray((features - mean) / scale, np.float32)
            for features in (train_features, test_features)
        )
        self._num_classes = num_classes

    def test_logits(self, labels: np.ndarray) -> np.ndarray:
        """Fits a head to labels and asks it about the test examples.

        In one thread, from zero weights: the same features and labels give the same
        head.

        Args:
            labels: int array `(n,)`, the label of every training example, of at least
                three classes.

        Returns:
            float32 array `(num_test, K)`; NaN for classes that are no label.
        """
        head = sklearn.linear_model.LogisticRegression(
            # scikit-learn's objective is C times the sum over examples.
            C=1 / (PENALTY * len(labels)),
            tol=TOLERANCE,
            max_iter=MAX_ITERATIONS,
        )
        with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):
            # Where classes are hardly ever taken for each other: good enough by then.
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            head.fit(self._train, labels)
            found = head.decision_function(self._test)
        logits = np.full((len(found), self._num_classes), np.nan, np.float32)
        logits[:, head.classes_] = found
        return logits
