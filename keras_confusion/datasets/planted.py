"""Generated images in which it is known what can be learned from what.

Five shapes in two variants each are ten classes. The shape can be seen at once; what
tells its variants apart is a texture:

    disc (common), cross (rare)         fine or coarse stripes
    square (common), triangle (rare)    rising or falling stripes
    ring (common)                       a thin or a thick line, and no stripes

The rare classes have too few images to learn the texture from: it is learned from the
common shape that shares it. A network that confuses fine and coarse discs cannot tell
fine from coarse crosses either. That is a **planted** relation; a study has to find it.
The variants of a ring are **rivals**: they look alike and share nothing with others, so
that weakening one gives images to the other although nothing is learned or forgotten.
`accuracy` has to move there, and `accuracy_without_pair` has to stay.
"""

import dataclasses
import re

import numpy as np

SHAPES = ("disc", "cross", "square", "triangle", "ring")
# (variant, other variant) of each shape, in the order of the labels.
VARIANTS = (
    ("fine", "coarse"),
    ("fine", "coarse"),
    ("rising", "falling"),
    ("rising", "falling"),
    ("thin", "thick"),
)
CLASS_NAMES = tuple(
    f"{variant}_{shape}"
    for shape, variants in zip(SHAPES, VARIANTS, strict=True)
    for variant in variants
)
# Indices of the shapes: the common one, and the rare one that lives on it.
_SHARED = ((0, 1), (2, 3))
_RING = SHAPES.index("ring")
COMMON_IMAGES, RARE_IMAGES, TEST_IMAGES = 300, 80, 200
_SIDE = 32

PLANTED, RIVAL, RELATED, CONTROL = "planted", "rival", "related", "control"
_NAME = re.compile(r"planted(?::(\d{1,9}))?")


@dataclasses.dataclass(frozen=True)
class Difficulty:
    """How hard it is to tell the variants of a shape apart.

    Args:
        wavelength_ratio: Of coarse to fine stripes; both are about four pixels wide.
        slope: Angle between the stripes' normal and the horizontal, radians.
        contrast: Amplitude of the stripes, as a share of the shape's colour.
        line_gap: Difference between the lines of thick and thin rings, pixels.
        line_sd: Standard deviation of a ring's line, pixels.
        noise: Standard deviation of the noise of every value, of 1.
    """

    wavelength_ratio: float = 1.9
    slope: float = np.pi / 4
    contrast: float = 0.4
    line_gap: float = 1.0
    line_sd: float = 0.6
    noise: float = 0.06


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is true of a target where a pair is confused.

    Args:
        target: Label.
        pair: Two labels, the lower first.
        kind: `PLANTED`: the target's accuracy must fall, by either response. `RIVAL`:
            `accuracy` must rise and `accuracy_without_pair` must stay. `RELATED`:
            the pair shows the target's texture too, but confusing it leaves much or all
            of what there is to learn; a small effect is neither asked for nor wrong.
            `CONTROL`: `accuracy_without_pair` must stay.
    """

    target: int
    pair: tuple[int, int]
    kind: str


def seed_of(name: str) -> int | None:
    """The seed in "planted" (0) or "planted:SEED"; `None` for any other name."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1] or 0)


def truth() -> list[Cell]:
    """What is true of every target outside every pair, 360 cells."""
    num_classes = len(CLASS_NAMES)
    return [
        Cell(target, (a, b), _kind(target, (a, b)))
        for a in range(num_classes)
        for b in range(a + 1, num_classes)
        for target in range(num_classes)
        if target not in (a, b)
    ]


def _kind(target: int, pair: tuple[int, int]) -> str:
    shape = target // 2
    shapes = {label // 2 for label in pair}
    if shape == _RING:
        return RIVAL if _RING in shapes else CONTROL
    for common, rare in _SHARED:
        if shape == rare and shapes == {common}:
            return PLANTED
        if shape in (common, rare) and shapes & {common, rare} - {shape}:
            return RELATED
    return CONTROL


def draw_split(seed: int, *, test: bool, difficulty: Difficulty | None = None):
    """Draws the training or the test examples.

    Args:
        seed: Integer, 0 or more: another one is another, independent data set.
        test: Whether the test examples are drawn, as many of every class.
        difficulty: A `Difficulty`; `None` takes the default.

    Returns:
        Images, uint8 `[n, 32, 32, 3]`, and labels, int64 `[n]`, in random order.
    """
    generator = np.random.default_rng((seed, int(test)))
    rare = [shape for _, shape in _SHARED]
    counts = [
        TEST_IMAGES if test else RARE_IMAGES if shape in rare else COMMON_IMAGES
        for shape in range(len(SHAPES))
        for _ in range(2)
    ]
    labels = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    return draw_images(labels, generator, difficulty or Difficulty()), labels


def draw_images(
    labels: np.ndarray, generator: np.random.Generator, difficulty: Difficulty
) -> np.ndarray:
    """Draws one image for every label, uint8 `[n, 32, 32, 3]`."""
    num_images = len(labels)
    shape, sign = labels // 2, np.where(labels % 2 == 0, 1.0, -1.0)

    def per_image(values) -> np.ndarray:
        return np.broadcast_to(values, num_images)[:, None, None]

    rows, columns = np.mgrid[:_SIDE, :_SIDE] - (_SIDE - 1) / 2
    x = columns - per_image(generator.uniform(-4, 4, num_images))
    y = rows - per_image(generator.uniform(-4, 4, num_images))
    turn = per_image(generator.uniform(-0.4, 0.4, num_images))
    radius = per_image(generator.uniform(8, 11, num_images))
    half_line = 2 - sign * difficulty.line_gap / 2
    half_line = half_line + generator.normal(0, difficulty.line_sd / 2, num_images)
    distance = _signed_distance(
        shape,
        np.cos(turn) * x + np.sin(turn) * y,
        np.cos(turn) * y - np.sin(turn) * x,
        radius,
        per_image(np.maximum(half_line, 0.5)),
    )
    inside = np.clip(0.5 - distance, 0, 1)[..., None]
    colour = _colours(
        generator.uniform(0, 1, num_images),
        generator.uniform(0.35, 0.9, num_images),
        generator.uniform(0.45, 0.95, num_images),
    )[:, None, None]
    brightness = 1 + _stripes(shape, sign, x, y, generator, difficulty)[..., None]
    background = per_image(generator.uniform(0, 0.5, num_images))[..., None]
    tint = generator.normal(0, 0.03, (num_images, 1, 1, 3))
    images = inside * colour * brightness + (1 - inside) * (background + tint)
    images += generator.normal(0, difficulty.noise, images.shape)
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def _stripes(shape, sign, x, y, generator, difficulty: Difficulty) -> np.ndarray:
    """The stripes' part of the brightness, `[n, 32, 32]`; 0 for rings."""
    num_images = len(shape)
    has_width, has_slope = (np.isin(shape, shapes) for shapes in _SHARED)
    # What does not tell the variants of a shape apart is drawn from the same range.
    log_ratio = np.log(difficulty.wavelength_ratio)
    width_exponent = np.where(has_width, -sign, generator.uniform(-1, 1, num_images))
    wavelength = 4 * np.exp(width_exponent * log_ratio / 2)
    angle = np.where(
        has_slope, sign * difficulty.slope, generator.uniform(0, np.pi, num_images)
    )
    phase = generator.uniform(0, 2 * np.pi, num_images)
    amplitude = np.where(shape == _RING, 0.0, difficulty.contrast)
    angle, wavelength, phase, amplitude = (
        values[:, None, None] for values in (angle, wavelength, phase, amplitude)
    )
    along = np.cos(angle) * x + np.sin(angle) * y
    return amplitude * np.sin(2 * np.pi * along / wavelength + phase)


def _signed_distance(shape, x, y, radius, half_line) -> np.ndarray:
    """Distance to the edge of the shape, pixels, negative inside, `[n, 32, 32]`."""
    third = np.sqrt(3) / 2
    across, along = np.abs(x), np.abs(y)
    distances = {
        "disc": np.hypot(x, y) - radius,
        "cross": np.minimum(
            np.maximum(across - 1.05 * radius, along - 0.42 * radius),
            np.maximum(along - 1.05 * radius, across - 0.42 * radius),
        ),
        "square": np.maximum(across, along) - 0.86 * radius,
        "triangle": np.maximum(y, third * across - 0.5 * y) - 0.62 * radius,
        "ring": np.abs(np.hypot(x, y) - (radius - 2)) - half_line,
    }
    choices = np.stack([distances[name] for name in SHAPES])
    return choices[shape, np.arange(len(shape))]


def _colours(hue, saturation, value) -> np.ndarray:
    """From hue, saturation and value in [0, 1], `[n]` each, to RGB `[n, 3]`."""
    sixths = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    ramp = np.clip(np.minimum(sixths, 4 - sixths), 0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)
