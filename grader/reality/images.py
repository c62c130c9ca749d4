"""Brightness, contrast and spectrum of real pictures beside the synthetic ones: curves over many, never a picture."""

import numpy as np

from expressions.labels import EMOTIONS, NUM_CLASSES

PERCENTILES = (5, 25, 50, 75, 95)
SIDE = 48
# From two periods across the picture on, to where noise and compression begin to rule.
_SLOPE_RANGE = (2, 20)


def _power(images):
    """Returns the power of each frequency: float array `(n, 48, 48)`, with a window so that edges do not count."""
    centred = images.astype(np.float32) - images.mean((1, 2), keepdims=True)
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    return np.abs(np.fft.fft2(centred * window.astype(np.float32))) ** 2


def _radius():
    frequency = np.fft.fftfreq(SIDE) * SIDE
    return np.hypot(*np.meshgrid(frequency, frequency)).round().astype(int)


def spectrum(images):
    """Returns the mean power at 1 … 24 periods across the picture: float array `(24,)`."""
    radius, power = _radius().ravel(), _power(images).mean(0).ravel()
    return (np.bincount(radius, power) / np.bincount(radius))[1:25]


def slopes(images):
    """Returns how steeply the power of each picture falls: exponent of a power law, float array `(n,)`."""
    radius, power = _radius().ravel(), _power(images).reshape(len(images), -1)
    frequencies = np.arange(*_SLOPE_RANGE)
    rings = np.stack([power[:, radius == frequency].mean(1) for frequency in frequencies])
    return np.polyfit(np.log(frequencies), np.log(rings + 1e-6), 1)[0]


def describe(images, labels):
    """Measures a set of pictures.

    Args:
        images: uint8 array `(n, 48, 48)`.
        labels: int array `(n,)`.

    Returns:
        dict that JSON can hold: percentiles over the pictures of `mean`, `contrast` (standard deviation), `gradient`
        (mean step between neighbours) and `slope`; shares of `black` and `white` pixels; curves `spectrum`, `rows`,
        `columns` (brightness of each, relative to the picture); by emotion the mean brightness and contrast.
    """
    mean, contrast = images.mean((1, 2)), images.std((1, 2))
    gradient = np.abs(np.diff(images.astype(np.int16), axis=2)).mean((1, 2))
    relative = images.mean(0) - images.mean()
    values = {"mean": mean, "contrast": contrast, "gradient": gradient, "slope": slopes(images)}
    of_class = [np.flatnonzero(labels == label) for label in range(NUM_CLASSES)]
    return {
        "images": len(images),
        **{name: np.percentile(each, PERCENTILES).round(2).tolist() for name, each in values.items()},
        "black": round(float((images <= 2).mean()), 4),
        "white": round(float((images >= 253).mean()), 4),
        "spectrum": np.log10(spectrum(images)).round(3).tolist(),
        "rows": relative.mean(1).round(2).tolist(),
        "columns": relative.mean(0).round(2).tolist(),
        "by_emotion": {
            emotion: [round(float(mean[rows].mean()), 1), round(float(contrast[rows].mean()), 1)]
            for emotion, rows in zip(EMOTIONS, of_class)
            if len(rows)
        },
    }


def compare(real, synthetic):
    """Measures real and synthetic pictures alike.

    Args:
        real: pair of uint8 images `(n, 48, 48)` and labels `(n,)`.
        synthetic: pair of the same kind.

    Returns:
        dict that JSON can hold, with `real`, `synthetic`, and `spectrum_gap`: the largest difference of the spectra in
        decades.
    """
    result = {"real": describe(*real), "synthetic": describe(*synthetic)}
    gap = np.subtract(result["synthetic"]["spectrum"], result["real"]["spectrum"])
    result["spectrum_gap"] = round(float(np.abs(gap).max()), 3)
    return result
