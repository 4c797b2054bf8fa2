r"""Takes the pictures of the TensorBoard plugin in docs/images/.

    python -m docs.take_screenshots \
        --confusion studies/cifar10 \
        --prototypes studies/fourier studies/pixels studies/maco \
        --cell accuracy.5.3

Needs Chromium and the packages of the extra `test`.
"""

import argparse
import pathlib
import tempfile

from tb_plugin import metadata
from tests.support import browser
from tests.support.tensorboard_process import tensorboard

IMAGES = pathlib.Path(__file__).parent / "images"
# Of a page that is shown at half of its size.
PIXEL_RATIO = 1.5


def take(
    chromium, address: str, name: str, *, dark: bool, height: int, **state
) -> None:
    """Takes one picture of the plugin's frame."""
    context = chromium.new_context(
        viewport={"width": 1400, "height": height}, device_scale_factor=PIXEL_RATIO
    )
    watched = browser.Watched(context.new_page(), address)
    frame = watched.open(**state)
    if dark:
        watched.page.evaluate("document.body.classList.add('dark-mode')")
    frame.wait_for_selector(".grid svg")
    watched.page.wait_for_timeout(1500)
    theme = "dark" if dark else "light"
    path = IMAGES / f"plugin_{name}_{theme}.png"
    watched.page.screenshot(path=path)
    context.close()
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--confusion", required=True, help="a confusion study's folder")
    parser.add_argument(
        "--prototypes",
        required=True,
        nargs="+",
        help="folders of prototype studies of one network; the first is shown",
    )
    parser.add_argument("--cell", default="", help="the confusion cell to open")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, browser.chromium() as chromium:
        logdir = pathlib.Path(temporary)
        folders = [
            pathlib.Path(arguments.confusion),
            *map(pathlib.Path, arguments.prototypes),
        ]
        for folder in folders:
            (logdir / folder.name).symlink_to(folder.absolute())
        with tensorboard(logdir) as address:
            for dark in (False, True):
                take(
                    chromium,
                    address,
                    "confusion",
                    dark=dark,
                    height=900,
                    view=metadata.KIND_CONFUSION,
                    order="cluster",
                )
                take(
                    chromium,
                    address,
                    "prototypes",
                    dark=dark,
                    height=1200,
                    view=metadata.KIND_PROTOTYPES,
                    run=f"{folders[1].name}/{metadata.PROTOTYPES_RUN}",
                )
            if arguments.cell:
                take(
                    chromium,
                    address,
                    "confusion_cell",
                    dark=True,
                    height=1100,
                    view=metadata.KIND_CONFUSION,
                    cell=arguments.cell,
                )


if __name__ == "__main__":
    main()
