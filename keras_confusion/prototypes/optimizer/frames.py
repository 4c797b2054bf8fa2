"""Pictures of an image's way from its start to its prototype."""

import numpy as np

# Frames of one image in memory at a time; of 100 classes' images of 32 x 32 pixels in
# colour, 4 GB.
MOST_FRAMES = 32


class Frames:
    """Pictures of one image's way, evenly spaced, and not too many of them.

    Args:
        image: The first.
    """

    def __init__(self, image: np.ndarray):
        self.kept = [image.copy()]
        self._num_calls, self._calls_a_frame = 0, 1

    def add(self, image: np.ndarray, is_last: bool) -> None:
        """Looks at the image after another call; keeps it now and then."""
        self._num_calls += 1
        is_due = is_last or self._num_calls % self._calls_a_frame == 0
        # An image that stood still has no frame.
        if is_due and np.any(self.kept[-1] != image):
            self.kept.append(image.copy())
        if len(self.kept) > MOST_FRAMES and not is_last:
            self.kept = self.kept[::2]
            self._calls_a_frame *= 2


def evenly_spaced_frames(frames: list[np.ndarray], num_frames: int) -> np.ndarray:
    """Picks the same number of frames of every image.

    Args:
        frames: `OptimizedImages.frames`.
        num_frames: How many to pick of each image, at least 2.

    Returns:
        float32 array `(len(frames), num_frames, height, width, channels)`: the first
        frame, the last, and frames evenly spaced between. An image that has fewer
        repeats some.

    Raises:
        ValueError: If `num_frames` is below 2.
    """
    if num_frames < 2:
        raise ValueError(
            "Expected `num_frames` of at least 2, the first and the last. "
            f"Received: {num_frames}."
        )
    picked = []
    for image_frames in frames:
        indices = np.rint(np.linspace(0, len(image_frames) - 1, num_frames)).astype(int)
        picked.append(image_frames[indices])
    return np.stack(picked)
