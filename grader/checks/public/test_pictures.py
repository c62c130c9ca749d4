"""Checks of step 1: pictures from pixel strings."""

import numpy as np
import pytest

from grader.outcome import Failed

# A float32 division by 255, or by 255.0 in float64, or a multiplication by 1/255, agree within this.
TOLERANCE = 1e-3

# Of a picture with what it should show. Integer greys, or a clipped end, keep more; another order of pixels far less.
MIN_CORRELATION = 0.99


@pytest.mark.item("1b")
def test_pixels_become_float32_in_0_1(work):
    """Pixels become float32 numbers from 0 to 1, by one scale for all pictures."""
    images = work.array("prepare_images", "images")
    pixels = work.evidence.arrays["prepare_images.input"].astype("float64")  # (n, 48, 48), 0 to 255
    seen = f"values from {images.min():.4g} to {images.max():.4g}; shape {images.shape}, {images.dtype}"
    wanted = "float32, values from 0.0 to 1.0"
    if images.size != pixels.size:
        raise Failed(seen, f"{pixels.size} numbers for {len(pixels)} pictures", "keep every pixel of every picture")
    if not np.isfinite(images).all():
        raise Failed(
            f"{np.count_nonzero(~np.isfinite(images))} values are not finite; shape {images.shape}, {images.dtype}",
            wanted,
            "do not divide by a picture's own range: a picture of one grey has none. Divide by 255",
            blocks=False,
        )
    flat, expected = images.reshape(len(pixels), -1), pixels.reshape(len(pixels), -1) / 255
    if np.allclose(flat, pixels.reshape(len(pixels), -1), atol=0.5) and images.max() > 1:
        raise Failed(seen, wanted, "divide by 255 after converting", blocks=False)
    if images.min() < 0 or images.max() > 1 + TOLERANCE:
        advice = "divide by 255, and subtract nothing: the network may do the rest by a layer"
        raise Failed(seen, wanted, advice, blocks=False)
    if images.dtype != np.float32:
        advice = 'convert with dtype="float32": float64 takes twice the memory and time'
        raise Failed(seen, wanted, advice, blocks=False)
    if not np.allclose(np.sort(flat, axis=1), np.sort(expected, axis=1), atol=TOLERANCE):
        num_right = int(np.isclose(np.sort(flat, axis=1), np.sort(expected, axis=1), atol=TOLERANCE).all(axis=1).sum())
        ranges = np.ptp(flat, axis=1)
        own_scale = np.isclose(ranges[ranges > 0], 1, atol=TOLERANCE).all()
        guess = "; every picture runs from 0 to 1 by itself, so you probably scale per picture" if own_scale else ""
        raise Failed(
            f"{seen}; {num_right} of {len(pixels)} pictures are right{guess}",
            wanted,
            "divide all pictures by 255",
            blocks=False,
        )


@pytest.mark.item("1c")
def test_pictures_have_shape_n_48_48_1(work):
    """Pictures have shape (n, 48, 48, 1), row by row as in the csv."""
    images = work.array("prepare_images", "images")
    pixels = work.evidence.arrays["prepare_images.input"].astype("float64")
    wanted = f"({len(pixels)}, 48, 48, 1) for {len(pixels)} strings"
    if images.shape != (len(pixels), 48, 48, 1):
        raise Failed(f"shape {images.shape}", wanted, "images.reshape(-1, 48, 48, 1)")
    expected = pixels[..., np.newaxis] / 255
    if not same_up_to_scale(images, expected):
        turned = same_up_to_scale(images, expected.transpose(0, 2, 1, 3))
        raise Failed(
            "rows and columns are swapped" if turned else "the pixels stand in another order, or show something else",
            "row by row, as they come in the string",
            "reshape once, without transposing",
        )
    alone = work.array("prepare_images_alone", "images")
    largest = max(1.0, float(np.abs(images[0]).max()))
    if alone.shape != (1, 48, 48, 1) or not np.allclose(alone[0], images[0], atol=TOLERANCE * largest, equal_nan=True):
        raise Failed(
            f"one string alone gives shape {alone.shape}, or other values than among {len(pixels)}",
            "(1, 48, 48, 1), the same values",
            "do not compute anything over all pictures, such as their maximum",
        )


def same_up_to_scale(images, expected):
    """Whether each picture shows the same as expected, brighter, darker or negative; one grey all over tells nothing.

    The scale itself is item 1b's.
    """
    flat = np.asarray(images, dtype="float64").reshape(len(images), -1)
    wanted = np.asarray(expected, dtype="float64").reshape(len(expected), -1)
    told = (np.ptp(wanted, axis=1) > 0) & np.isfinite(flat).all(axis=1)
    if not told.any():
        return not np.isfinite(flat).all()
    flat, wanted = (part - part.mean(axis=1, keepdims=True) for part in (flat[told], wanted[told]))
    norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(wanted, axis=1)
    return bool((np.abs((flat * wanted).sum(axis=1)) > MIN_CORRELATION * norms).all() and (norms > 0).all())
