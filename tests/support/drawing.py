"""Reports whose figures nobody looks at."""

import io

import matplotlib.figure
import matplotlib.image
import numpy as np


def leave_undrawn(monkeypatch) -> None:
    """Has figures of reports made and named, and not drawn, which takes long."""
    pixel = io.BytesIO()
    matplotlib.image.imsave(pixel, np.zeros((1, 1, 3), np.uint8))

    draw = matplotlib.figure.Figure.savefig

    def save(figure, file, *, format=None, **options):
        assert figure.axes
        if format is None:
            # Of somebody who looks at it: reports name the format.
            draw(figure, file, **options)
            return
        file.write(b"<svg/>" if format == "svg" else pixel.getvalue())

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", save)
