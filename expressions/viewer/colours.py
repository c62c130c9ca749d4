"""Viridis: one colour scale that keeps its order for every kind of colour vision, and in black and white."""

import numpy as np

# Nine of viridis' 256 colours, evenly spaced (van der Walt and Smith, 2015, CC0); between them, straight lines.
_VIRIDIS = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ]
)

# The end that would drown in the background is left out.
_PART_ON_DARK = (0.22, 1.0)
_PART_ON_LIGHT = (0.0, 0.9)

# Okabe and Ito's vermilion, bluish green and blue, lighter and darker where the background asks for it.
AXIS_COLOURS_ON_DARK = ((255, 138, 76), (64, 205, 160), (112, 178, 255))
AXIS_COLOURS_ON_LIGHT = ((200, 80, 0), (0, 125, 90), (0, 95, 170))

BACKGROUND_DARK = (24, 26, 31)
BACKGROUND_LIGHT = (250, 250, 248)


def colours_of(values, low, high, dark):
    """Gives each value its colour.

    Args:
        values: float array `(n,)`; values outside low … high get the colour of the nearer end.
        low: float, the value of the first colour.
        high: float, the value of the last colour.
        dark: bool, whether the background is dark.

    Returns:
        uint8 array `(n, 3)`: red, green, blue.
    """
    share = np.clip((np.asarray(values, np.float64) - low) / max(high - low, 1e-12), 0, 1)
    start, end = _PART_ON_DARK if dark else _PART_ON_LIGHT
    place = start + (end - start) * share
    corners = np.linspace(0, 1, len(_VIRIDIS))
    return np.stack([np.interp(place, corners, _VIRIDIS[:, channel]) for channel in range(3)], axis=1).astype(np.uint8)


def background(dark):
    """Returns the colour behind the points: red, green, blue."""
    return BACKGROUND_DARK if dark else BACKGROUND_LIGHT


def axis_colours(dark):
    """Returns the colours of the x, y and z axis."""
    return AXIS_COLOURS_ON_DARK if dark else AXIS_COLOURS_ON_LIGHT
