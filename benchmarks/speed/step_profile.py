"""Where the time of one training step goes, operation by operation.

    python -m benchmarks.speed.step_profile

trains the poster's CNN in one thread, as a worker of a study does, under TensorFlow's
profiler, and adds up what its kernels took. Profiling costs time too: shares are right,
milliseconds a little too long.
"""

import argparse
import collections
import pathlib
import re
import tempfile

from benchmarks import tables, timing
from benchmarks.speed import packed_speed

TITLE = "One core: where a training step's time goes"
BATCH_SIZE, STEPS = 128, 40
_OPERATION = re.compile(r"^while/body/.*:_?(?:MklNative|Mkl)?(\w+)$")
_LAYER = re.compile(r"/((?:conv2d|max_pooling2d)[_\d]*|dense)\w*/")
# Operations that take less are added up.
LEAST_SHARE = 0.5


def measure(quick: bool = False) -> list[dict]:
    """Milliseconds a step and shares, by layer and operation.

    Args:
        quick: Profiles a few steps.

    Returns:
        Rows as `timing.row`.
    """
    milliseconds = _profile(3 if quick else STEPS)
    total = sum(milliseconds.values())
    rest = {
        name: value
        for name, value in milliseconds.items()
        if 100 * value / total < LEAST_SHARE
    }
    listed = [(name, milliseconds[name]) for name in milliseconds if name not in rest]
    listed.sort(key=lambda item: -item[1])
    listed.append((f"{len(rest)} others", sum(rest.values())))
    remark = f"{STEPS} steps of {BATCH_SIZE} images, one thread"
    rows = [
        timing.row(name, "share of a step", "%", [100 * value / total], remark)
        for name, value in listed
    ]
    return [*rows, timing.row("all kernels", "a step", "ms", [total], remark)]


def _profile(steps: int) -> dict[str, float]:
    """Milliseconds a step of every kind of operation."""
    from keras_confusion.execution import runtime

    runtime.start_tensorflow(threads=1)
    import tensorflow as tf

    from keras_confusion.training import recipes
    from keras_confusion.training import trainer as training_trainer

    num_train = steps * BATCH_SIZE
    trainer = training_trainer.Trainer(
        packed_speed.random_dataset(num_train, 10),
        recipe=recipes.find_recipe(
            "annealed", num_train=num_train, batch_size=BATCH_SIZE
        ),
        epochs=1,
        dtype_policy=runtime.default_dtype_policy(),
    )
    task = training_trainer.TrainingTask(0, 0)
    trainer.train([task])
    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)
        with tf.profiler.experimental.Profile(folder, options=options):
            trainer.train([task])
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        return _add_up(file.read_bytes(), steps)


def _add_up(profile: bytes, steps: int) -> dict[str, float]:
    # Where TensorFlow 2.21 keeps what its profiler writes.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(profile)
    found: dict[tuple[str, str], float] = collections.defaultdict(float)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                operation = _OPERATION.match(name)
                if operation:
                    layer = _LAYER.search(name)
                    kind = layer[1] if layer else "other", operation[1]
                    found[kind] += event.duration_ps / 1e9 / steps
    # Keras numbers the layers of all models on; their order is that of the names.
    layers: dict[str, str] = {}
    for kind in ("conv2d", "max_pooling2d"):
        kind_layers = sorted({layer for layer, _ in found if layer.startswith(kind)})
        layers |= {layer: f"{kind} {n}" for n, layer in enumerate(kind_layers, start=1)}
    return {
        f"{layers.get(layer, layer)}: {operation}": value
        for (layer, operation), value in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(tables.table(measure(options.quick)))


if __name__ == "__main__":
    main()
