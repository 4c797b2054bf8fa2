"""How long the plugin takes to show a study, and how much is sent for it.

    python -m benchmarks.speed.first_paint --study studies/cifar10 \
        --study studies/prototypes

opens each study in a real TensorBoard with a fresh browser several times, beside two
made-up studies of 100 classes. A time is counted from the request of the plugin's page
to the first frame with the first matrix in it, its pictures loaded. Needs Chromium and
the packages of the extra `test`.
"""

import argparse
import pathlib
import statistics
import tempfile

from tb_plugin import metadata
from tests.support import browser, plugin_logdir
from tests.support.tensorboard_process import tensorboard

NUM_CLASSES = 100
# CIFAR-100: the overview's images are made smaller, see metadata.MAX_OVERVIEW_PIXELS.
IMAGE_SHAPE, IMAGE_SCALE = (32, 32, 3), 12 / 32
IS_SHOWN = """() => {
  const grids = [...document.querySelectorAll(".grid svg")];
  const images = [...document.querySelectorAll(".grid svg .cells > image")];
  const loaded = performance.getEntriesByType("resource").filter(
    (entry) => entry.name.includes("prototypes/image") && entry.responseEnd > 0);
  if (grids.length === 0) return null;
  const needs = images.some((image) => !image.getAttribute("href").startsWith("data:"));
  return needs && loaded.length === 0 ? null : performance.now();
}"""


def write_large_studies(logdir: pathlib.Path) -> list[tuple[str, str]]:
    """Writes both kinds of study with 100 classes; their names and runs."""
    names = [f"class {number:02d}" for number in range(NUM_CLASSES)]
    pairs = [[number, number + 1] for number in range(0, 90, 2)]
    plugin_logdir.write_confusion_run(logdir / "confusion100", names, pairs=pairs)
    plugin_logdir.write_prototype_run(
        logdir / "prototypes100",
        names,
        num_intervals=2,
        num_initialisations=1,
        num_frames=0,
        image_shape=IMAGE_SHAPE,
        image_scale=IMAGE_SCALE,
    )
    return [
        ("made up, 100 classes, 45 pairs", f"confusion100/{metadata.TRAINING_RUN}"),
        ("made up, 100 classes, 10,000 images", _prototypes("prototypes100")),
    ]


def _prototypes(name: str) -> str:
    return f"{name}/{metadata.PROTOTYPES_RUN}"


def measure(chromium, address: str, run: str, view: str) -> tuple[float, int, int]:
    """Opens a study in a fresh browser.

    Returns:
        Seconds to the first matrix, requests of the plugin until then, and bytes that
        were sent for them, as compressed.
    """
    context = chromium.new_context(viewport=browser.SIZE)
    watched = browser.Watched(context.new_page(), address)
    sizes = {}

    def on_finished(request) -> None:
        if metadata.PLUGIN_NAME in request.url:
            sizes[request.url] = request.sizes()["responseBodySize"]

    watched.page.on("requestfinished", on_finished)
    frame = watched.open(run=run, view=view)
    milliseconds = frame.wait_for_function(IS_SHOWN).json_value()
    watched.page.wait_for_timeout(50)
    context.close()
    return milliseconds / 1000, len(sizes), sum(sizes.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", action="append", default=[], help="a study's folder")
    parser.add_argument("--times", type=int, default=7, help="how often (default: 7)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, browser.chromium() as chromium:
        logdir = pathlib.Path(temporary)
        studies = []
        for folder in map(pathlib.Path, arguments.study):
            (logdir / folder.name).symlink_to(folder.absolute())
            is_confusion = not (folder / metadata.PROTOTYPES_RUN).exists()
            run = metadata.TRAINING_RUN if is_confusion else metadata.PROTOTYPES_RUN
            studies.append((folder.name, f"{folder.name}/{run}"))
        studies += write_large_studies(logdir)
        print(f"{'study':40} {'seconds: median (min to max)':32} requests  kB sent")
        with tensorboard(logdir) as address:
            for name, run in studies:
                view = (
                    metadata.KIND_PROTOTYPES
                    if run.endswith(metadata.PROTOTYPES_RUN)
                    else metadata.KIND_CONFUSION
                )
                results = [
                    measure(chromium, address, run, view)
                    for _ in range(arguments.times)
                ]
                seconds, requests, sent = zip(*results, strict=True)
                times = (
                    f"{statistics.median(seconds):.2f} "
                    f"({min(seconds):.2f} to {max(seconds):.2f})"
                )
                print(f"{name:40} {times:32} {max(requests):8} {max(sent) / 1e3:8.0f}")


if __name__ == "__main__":
    main()
