import numpy as np
import pytest

from keras_confusion.errors import StudyFolderError
from keras_confusion.models import image_statistics
from keras_confusion.models.image_statistics import ImageStatistics


@pytest.fixture
def images(rng):
    """Images whose channels have known covariances."""
    mixing = np.array([[0.1, 0.0, 0.0], [0.08, 0.05, 0.0], [0.06, 0.0, 0.02]])
    return 0.5 + rng.standard_normal((200, 6, 5, 3)) @ mixing.T


def test_colours_have_the_covariances_of_the_pixels(images):
    colours = ImageStatistics.of_images(images).colours
    expected = np.cov(images.reshape(-1, 3), rowvar=False)
    found = colours @ colours.T
    np.testing.assert_allclose(
        found / found[0, 0], expected / expected[0, 0], atol=1e-5
    )
    assert np.sqrt(np.diag(found)).max() == pytest.approx(1)
    # The first component is brightness: of one sign, and the largest.
    assert (colours[:, 0] > 0).all()
    assert np.all(np.diff(np.linalg.norm(colours, axis=0)) < 0)


def test_spectrum_is_the_mean_magnitude_of_independent_channels(images):
    statistics = ImageStatistics.of_images(images)
    independent = np.linalg.solve(
        statistics.colours.astype(float),
        (images - images.mean(axis=(0, 1, 2)))[..., None],
    )[..., 0]
    expected = np.mean([np.abs(np.fft.rfft2(x, axes=(0, 1))) for x in independent], 0)
    assert statistics.spectrum.shape == (6, 3, 3)
    np.testing.assert_allclose(statistics.spectrum, expected, rtol=1e-4)


def test_bytes_and_shares_are_the_same_images(rng):
    images = rng.integers(0, 256, (50, 4, 4, 3), np.uint8)
    by_bytes = ImageStatistics.of_images(images)
    by_shares = ImageStatistics.of_images(images / np.float32(255))
    np.testing.assert_allclose(by_bytes.spectrum, by_shares.spectrum, rtol=1e-5)
    np.testing.assert_allclose(by_bytes.colours, by_shares.colours, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_have_colours_too(rng, channels):
    grey = np.repeat(rng.random((40, 4, 4, 1)), channels, axis=-1)
    statistics = ImageStatistics.of_images(grey)
    assert np.isfinite(statistics.spectrum).all()
    assert np.linalg.cond(statistics.colours) < 100


def test_usual_colours_are_those_of_nature():
    colours = ImageStatistics.usual(3).colours
    assert np.sqrt((colours**2).sum(axis=1)).max() == pytest.approx(1)
    correlation = (
        (colours @ colours.T)[0, 2]
        / np.linalg.norm(colours[0])
        / np.linalg.norm(colours[2])
    )
    assert correlation == pytest.approx(0.785, abs=0.01)
    np.testing.assert_array_equal(ImageStatistics.usual(1).colours, [[1]])


def test_files_come_back_and_others_are_refused(images, tmp_path):
    assert image_statistics.read(tmp_path, (6, 5, 3)) is None
    statistics = ImageStatistics.of_images(images)
    statistics.write(tmp_path)
    read = image_statistics.read(tmp_path, (6, 5, 3))
    np.testing.assert_array_equal(read.colours, statistics.colours)
    np.testing.assert_array_equal(read.spectrum, statistics.spectrum)
    # Of a model that is asked about images of another size.
    assert image_statistics.read(tmp_path, (8, 8, 3)) is None
    (tmp_path / image_statistics.FILE).write_bytes(b"PK nothing")
    with pytest.raises(StudyFolderError, match=r"image_statistics\.npz is damaged"):
        image_statistics.read(tmp_path, (6, 5, 3))


def test_large_images_are_few():
    assert image_statistics.num_images((32, 32, 3)) == 5000
    assert 100 < image_statistics.num_images((224, 224, 3)) < 1000
