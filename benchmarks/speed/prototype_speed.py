"""All prototypes of a ResNet18: by this package, one by one, and the released way.

    python -m benchmarks.speed.prototype_speed

makes the class prototypes of a trained network from the noise of five initialisations,
and from them all intermediary prototypes, until the loss of every image is below the
poster's 0.01, in steps of length 0.1. Beside it the method released with arXiv
2305.15563: 250 iterations of all images of an initialisation together, without looking
whether they are done, in each of which the gradients of all weights are computed with
those of the images. Of those iterations a few are timed, in Keras, and in PyTorch where
it is installed.

How fast images take steps is also measured on a ResNet18 of the poster's width with
random weights, which change the number of steps and not their time.
"""

import argparse
import functools
import json
import pathlib
import time

import numpy as np

from benchmarks import tables, timing

TITLE = "Prototypes: class and intermediary"
REFERENCE = "released method, Keras"
WITHOUT_RATIO = (
    "iterations of an image",
    "loss below 0.01 in float32",
    "mean C",
    "mean R",
)
MODEL = timing.ROOT / "saved_models" / "cifar10_resnet18_width12"
STEP_LENGTH = 0.1
INITIALISATIONS, INITIALISATIONS_QUICK = 5, 1
RELEASED_ITERATIONS = 250
# Iterations of the released method that are timed, and passes of ours.
TIMED, TIMED_QUICK = 5, 2
# Intermediary prototypes that are made one by one.
ONE_BY_ONE, ONE_BY_ONE_QUICK = 10, 2


def measure(
    quick: bool = False, *, rounds: int = 3, model=MODEL, width: int = 64
) -> list[dict]:
    """All contenders, in turn.

    Args:
        quick: Takes one round, and few steps.
        rounds: Times each is measured.
        model: A folder of `saving.save_model` that holds a trained ResNet18.
        width: Of the ResNet18 with random weights.

    Returns:
        Rows as `timing.row`.
    """
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    rounds = 1 if quick else rounds
    trained = _all_prototypes(pathlib.Path(model), quick, rounds)
    return trained + _image_steps(width, quick, rounds)


def _all_prototypes(folder: pathlib.Path, quick: bool, rounds: int) -> list[dict]:
    import keras

    from keras_confusion.models import loading
    from keras_confusion.prototypes import images as prototype_images
    from keras_confusion.prototypes.optimizer import drafting
    from keras_confusion.prototypes.optimizer.parametrizations import Pixels

    network = keras.saving.load_model(folder / "model.keras", compile=False)
    width = json.loads((folder / "model.json").read_text())["training"]["width"]
    exact = loading.load_probe(folder)
    inits = INITIALISATIONS_QUICK if quick else INITIALISATIONS
    num_classes = len(exact.class_names)
    count = inits * num_classes**2
    pixels = Pixels(exact.input_shape)
    noise = prototype_images.starts(range(inits), num_classes, pixels)
    class_images = prototype_images.class_prototypes(exact, noise, _settings()).images
    ours = {"ours, float32": exact}
    if _has_bfloat16():
        drafted = drafting.with_draft(exact, network)
        ours = {"ours, bfloat16 then float32": drafted, **ours}
    best, best_probe = next(iter(ours.items()))
    sample = ONE_BY_ONE_QUICK if quick else ONE_BY_ONE
    times = {
        name: functools.partial(_make_all, probe, noise) for name, probe in ours.items()
    }
    one_by_one = f"{best}, one image at a time"
    times[one_by_one] = functools.partial(_make_some, best_probe, class_images, sample)
    released = _released(network, width, num_classes**2, quick)
    times |= {
        name: lambda seconds=seconds: inits * RELEASED_ITERATIONS * seconds()
        for name, seconds in released.items()
    }
    timed = TIMED_QUICK if quick else TIMED
    remarks = {one_by_one: f"of {sample} intermediary ones, times {count / sample:g}"}
    remarks |= dict.fromkeys(
        released,
        f"of {timed} iterations of {num_classes**2} images, times "
        f"{inits * RELEASED_ITERATIONS / timed:g}",
    )
    measured = timing.alternate(
        {name: _named("all prototypes", run) for name, run in times.items()}, rounds
    )
    what = f"{count} images, {folder.name}"
    rows = [
        timing.row(
            name,
            "all prototypes",
            "s",
            quantities["all prototypes"],
            "; ".join([what, remarks[name]] if name in remarks else [what]),
        )
        for name, quantities in measured.items()
    ]
    for name, probe in ours.items():
        rows += _quality(name, probe, exact, noise)
    return rows


def _image_steps(width: int, quick: bool, rounds: int) -> list[dict]:
    from keras_confusion.models import architectures
    from keras_confusion.prototypes import images as prototype_images
    from keras_confusion.prototypes.optimizer import drafting
    from keras_confusion.prototypes.optimizer.parametrizations import Pixels

    build = functools.partial(
        architectures.build_model,
        "resnet18",
        num_classes=10,
        input_shape=(32, 32, 3),
        seed=0,
        width=width,
    )
    network = build()
    count = 20 if quick else 100
    noise = prototype_images.starts([0], count, Pixels((32, 32, 3)))[0]
    timed = TIMED_QUICK if quick else TIMED
    ours = {"ours, float32": network}
    if _has_bfloat16():
        draft = drafting.fold_batch_normalization(network, dtype="bfloat16")
        ours = {
            "ours, bfloat16": draft,
            "ours, bfloat16, not folded": build(dtype_policy="mixed_bfloat16"),
            **ours,
            "ours, float32, folded": drafting.fold_batch_normalization(network),
        }
    times = {
        name: functools.partial(_pass, model, noise, timed)
        for name, model in ours.items()
    }
    times |= _released(network, width, count, quick)
    quantity = f"image-steps at width {width}"
    measured = timing.alternate(
        {
            name: _named(quantity, lambda run=run: count / run())
            for name, run in times.items()
        },
        rounds,
    )
    remark = f"batches of {count}, random weights"
    return [
        timing.row(name, quantity, "images/s", quantities[quantity], remark)
        for name, quantities in measured.items()
    ]


def _named(quantity: str, run) -> timing.Contender:
    return lambda: {quantity: run()}


def _has_bfloat16() -> bool:
    from keras_confusion.execution import runtime

    return runtime.default_dtype_policy() == "mixed_bfloat16"


def _settings(**settings):
    from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

    return OptimizerSettings(learning_rate=STEP_LENGTH, **settings)


def _make_all(probe, noise) -> float:
    """Seconds of class prototypes and of what follows from them."""
    start = time.perf_counter()
    _made(probe, noise)
    return time.perf_counter() - start


def _made(probe, noise):
    from keras_confusion.prototypes import images as prototype_images

    settings = _settings()
    class_prototypes = prototype_images.class_prototypes(probe, noise, settings)
    all_of_them = prototype_images.intermediary_prototypes(
        probe, class_prototypes.images, settings
    )
    return class_prototypes, all_of_them


def _make_some(probe, class_images, sample: int) -> float:
    """Seconds of all images, if each takes as long as some that are made one by one."""
    from keras_confusion.prototypes.optimizer.image_optimizer import optimize_images

    inits, num_classes = class_images.shape[:2]
    pairs = np.argwhere(~np.eye(num_classes, dtype=bool))
    chosen = pairs[np.linspace(0, len(pairs) - 1, sample).astype(int)]
    settings = _settings(batch_size=1)
    start = time.perf_counter()
    for target, origin in chosen:
        optimize_images(probe.logits, class_images[0, [origin]], [target], settings)
    return (time.perf_counter() - start) * inits * num_classes**2 / sample


def _quality(name: str, probe, exact, noise) -> list[dict]:
    """Iterations that images needed, and how many the network is sure of."""
    from keras_confusion.prototypes import dissimilarity, grid

    class_prototypes, all_of_them = _made(probe, noise)
    num_classes = noise.shape[1]
    off_diagonal = ~np.eye(num_classes, dtype=bool)
    iterations = [
        *class_prototypes.iterations.ravel(),
        *all_of_them.iterations[:, off_diagonal].ravel(),
    ]
    asked = grid.ask(exact, all_of_them.images)
    losses = asked.cross_entropies(np.arange(num_classes)[:, None])
    per_init = "of each initialisation"
    trends = {
        f"mean {letter}": dissimilarity.trend(compare(asked.features), kind).mean
        for letter, compare, kind in (
            ("C", dissimilarity.inter_class, "inter"),
            ("R", dissimilarity.intra_class, "intra"),
        )
    }
    share = 100 * np.mean(losses < _settings().loss_threshold)
    return [
        timing.row(name, "iterations of an image", "", iterations),
        timing.row(
            name,
            "loss below 0.01 in float32",
            "%",
            [share],
            "of the finished images, by the SavedModel",
        ),
        *(
            timing.row(name, quantity, "", means, per_init)
            for quantity, means in trends.items()
        ),
    ]


def _pass(model, images, num_passes: int) -> float:
    """Seconds of one step of all images."""
    from keras_confusion.prototypes.optimizer.image_optimizer import optimize_images
    from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

    # Toward the least probable class in tiny steps: none is done on the way.
    targets = np.asarray(model(images, training=False)).argmin(axis=1)
    settings = OptimizerSettings(
        learning_rate=1e-4, max_iterations=num_passes - 1, batch_size=len(images)
    )
    start = time.perf_counter()
    made = optimize_images(_logits_function(model), images, targets, settings)
    seconds = time.perf_counter() - start
    if (made.iterations < num_passes - 1).any():
        raise RuntimeError("Expected no image to be done. Received: some that are.")
    return seconds / num_passes


@functools.cache
def _logits_function(model):
    return lambda images: model(images, training=False)


def _released(network, width: int, count: int, quick: bool) -> dict:
    """By contender, a function that returns the seconds of one iteration."""
    timed = TIMED_QUICK if quick else TIMED
    released = {REFERENCE: functools.partial(_iterate_in_keras, network, count, timed)}
    if timing.is_installed("torch"):
        command = timing.module(
            *("torch_prototypes", "--width", width, "--images", count),
            *("--classes", network.output_shape[-1], "--iterations", timed),
        )
        released["released method, PyTorch"] = lambda: timing.last_json(command)[
            "seconds"
        ]
    return released


def _iterate_in_keras(network, count: int, num_iterations: int) -> float:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((count, *network.input_shape[1:]), np.float32))
    targets = tf.range(count) % network.output_shape[-1]
    iterate = _released_iteration(network)
    start = time.perf_counter()
    for _ in range(num_iterations):
        images, _ = iterate(images, targets)
    images.numpy()
    return (time.perf_counter() - start) / num_iterations


@functools.cache
def _released_iteration(network):
    import tensorflow as tf

    @tf.function
    def iterate(images, targets):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = network(images, training=False)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses)
        image_gradient, *weight_gradients = tape.gradient(
            loss, [images, *network.trainable_variables]
        )
        lengths = tf.sqrt(
            tf.reduce_sum(image_gradient**2, axis=(1, 2, 3), keepdims=True)
        )
        moved = tf.clip_by_value(
            images - STEP_LENGTH * image_gradient / lengths, 0.0, 1.0
        )
        # Returned, as TensorFlow computes nothing that nobody asks for.
        return moved, weight_gradients

    return iterate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=MODEL, metavar="DIR")
    parser.add_argument("--width", type=int, default=64, metavar="W")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = measure(
        options.quick, rounds=options.rounds, model=options.model, width=options.width
    )
    print(tables.table(rows, reference=REFERENCE, without_ratio=WITHOUT_RATIO))


if __name__ == "__main__":
    main()
