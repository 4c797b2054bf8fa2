"""Reports whose figures nobody looks at."""

import io

import matplotlib.figure
import matplotlib.image
import numpy as np


def leave_undrawn(monkeypatch) -> None:
    """Has figures of reports made and named, and not drawn, which takes long."""
    pixel = io.BytesIO()
    matplotlib.image.imsave(pixel, np.zeros((1, 1, 3), np.uint8))

    def save(figure, file, *, format, **options):
        assert figure.axes
        file.write(b"<svg/>" if format == "svg" else pixel.getvalue())

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", save)
