import numpy as np
import pytest
import tensorflow as tf

from benchmarks import timing
from benchmarks.speed import prototype_speed
from keras_confusion.models import architectures


def test_released_iteration_steps_down_the_loss_and_has_gradients_of_all_weights(rng):
    network = architectures.build_model(
        "resnet18", input_shape=(16, 16, 3), num_classes=3, seed=0, width=2
    )
    images = rng.uniform(0.3, 0.7, (4, 16, 16, 3)).astype(np.float32)
    targets = np.arange(4) % 3

    def losses(images):
        logits = network(images, training=False)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits).numpy()

    iterate = prototype_speed._released_iteration(network)
    moved, weight_gradients = iterate(tf.constant(images), tf.constant(targets))
    assert (losses(moved.numpy()) < losses(images)).all()
    lengths = np.linalg.norm((moved - images).numpy().reshape(4, -1), axis=1)
    np.testing.assert_allclose(lengths, prototype_speed.STEP_LENGTH, rtol=1e-3)
    assert len(weight_gradients) == len(network.trainable_variables)
    assert all(np.any(gradient.numpy()) for gradient in weight_gradients)


@pytest.mark.slow
def test_everything_is_measured_and_every_image_is_done():
    # The small one of the models that are shipped: a ResNet takes long to trace.
    model = timing.ROOT / "saved_models" / "cifar10_cnn"
    rows = prototype_speed.measure(quick=True, model=model, width=4)
    assert all(tuple(row) == timing.ROW_KEYS for row in rows)
    seconds = {
        row["contender"]: row["median"]
        for row in rows
        if row["quantity"] == "all prototypes"
    }
    released = seconds[prototype_speed.REFERENCE]
    assert seconds["ours, float32"] < released / 2
    assert min(seconds.values()) > 0
    shares = [row["median"] for row in rows if row["unit"] == "%"]
    assert shares
    assert all(share == 100 for share in shares)
