import pytest

from keras_confusion import runtime

runtime.start_tensorflow(threads=1)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(42)
