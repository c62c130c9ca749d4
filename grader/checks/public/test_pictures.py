"""Checks of step 1: pictures from pixel strings."""

import numpy as np
import pytest

from grader.outcome import Failed

# A float32 division by 255, or by 255.0 in float64, or a multiplication by 1/255, agree within this.
TOLERANCE = 1e-3


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
        )
    flat, expected = images.reshape(len(pixels), -1), pixels.reshape(len(pixels), -1) / 255
    if np.allclose(flat, pixels.reshape(len(pixels), -1), atol=0.5) and images.max() > 1:
        raise Failed(seen, wanted, "divide by 255 after converting")
    if images.min() < 0 or images.max() > 1 + TOLERANCE:
        raise Failed(seen, wanted, "divide by 255, and subtract nothing: the network may do the rest by a layer")
    if images.dtype != np.float32:
        raise Failed(seen, wanted, 'convert with dtype="float32": float64 takes twice the memory and time')
    if not np.allclose(np.sort(flat, axis=1), np.sort(expected, axis=1), atol=TOLERANCE):
        num_right = int(np.isclose(np.sort(flat, axis=1), np.sort(expected, axis=1), atol=TOLERANCE).all(axis=1).sum())
        ranges = np.ptp(flat, axis=1)
        own_scale = np.isclose(ranges[ranges > 0], 1, atol=TOLERANCE).all()
        guess = "; every picture runs from 0 to 1 by itself, so you probably scale per picture" if own_scale else ""
        raise Failed(
            f"{seen}; {num_right} of {len(pixels)} pictures are right{guess}", wanted, "divide all pictures by 255"
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
    if not np.allclose(images, expected, atol=TOLERANCE):
        turned = np.allclose(images, expected.transpose(0, 2, 1, 3), atol=TOLERANCE)
        raise Failed(
            "the pixels stand in another order" + (": rows and columns are swapped" if turned else ""),
            "row by row, as they come in the string",
            "reshape once, without transposing",
        )
    alone = work.array("prepare_images_alone", "images")
    if alone.shape != (1, 48, 48, 1) or not np.allclose(alone[0], expected[0], atol=TOLERANCE):
        raise Failed(
            f"one string alone gives shape {alone.shape}, or other values than among {len(pixels)}",
            "(1, 48, 48, 1), the same values",
            "do not compute anything over all pictures, such as their maximum",
        )
