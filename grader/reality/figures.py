"""Draws the comparisons and writes them as Markdown tables."""

import numpy as np

from expressions.labels import EMOTIONS
from grader.reality.images import PERCENTILES

_REAL, _OURS = "#555555", "#c4501b"


def _canvas(columns, width=9.6, height=2.9):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure, path):
    figure.savefig(path, dpi=90)


def draw_images(result, path):
    """Draws brightness, contrast, spectrum and brightness by row of real and synthetic pictures."""
    figure, (spread, spectrum, rows) = _canvas(3)
    for k, (name, colour) in enumerate((("real", _REAL), ("synthetic", _OURS))):
        part = result[name]
        for place, measure in enumerate(("mean", "contrast", "gradient")):
            low, lower, middle, upper, high = part[measure]
            x = place + 0.25 * (k - 0.5)
            spread.plot([x, x], [low, high], color=colour, lw=1)
            spread.plot([x, x], [lower, upper], color=colour, lw=6, label=name if place == 0 else None)
            spread.plot([x], [middle], "o", color="white", ms=3)
        spectrum.plot(np.arange(1, 25), part["spectrum"], color=colour, label=name)
        rows.plot(part["rows"], color=colour, label=name)
    spread.set_xticks(range(3), ("brightness", "contrast", "gradient"))
    spread.set(ylabel="grey levels", title="5, 25, 50, 75, 95 % of pictures")
    spectrum.set(xlabel="periods across the picture", ylabel="power, decades", title="spectrum", xscale="log")
    rows.set(xlabel="row", ylabel="grey levels from the mean", title="brightness by row")
    spread.legend(frameon=False)
    _save(figure, path)


def image_table(result):
    """Returns the figures of the pictures as Markdown."""
    head = " | ".join(f"{percent} %" for percent in PERCENTILES)
    lines = [f"| measure | data | {head} |", "|---|---|" + "---|" * len(PERCENTILES)]
    for measure in ("mean", "contrast", "gradient", "slope"):
        for name in ("real", "synthetic"):
            lines.append(
                f"| {measure} | {name} | " + " | ".join(f"{value:g}" for value in result[name][measure]) + " |"
            )
    for name in ("real", "synthetic"):
        part = result[name]
        lines.append(f"\n{name}: {part['images']} pictures, black {part['black']:.1%}, white {part['white']:.1%}")
    lines.append(f"\nLargest gap of the spectra: {result['spectrum_gap']:.2f} decades")
    return "\n".join(lines)


def draw_geometry(result, path):
    """Draws how far each emotion moves real and synthetic faces, and each action unit ours and ARKit's mesh."""
    figure, axes = _canvas(2 if "units_mm" in result else 1)
    for k, (name, colour) in enumerate((("real", _REAL), ("synthetic", _OURS))):
        for place, emotion in enumerate(EMOTIONS[:-1]):
            part = result[name]["motion_mm"][emotion]
            x = place + 0.25 * (k - 0.5)
            low, high = (part["least"], part["most"]) if name == "real" else (part["5 %"], part["95 %"])
            label = f"{name}, {result[name]['people']} people" if place == 0 else None
            axes[0].plot([x, x], [low, high], color=colour, lw=5, alpha=0.6, label=label)
            axes[0].plot([x], [part["median"]], "o", color=colour, ms=5)
    axes[0].set_xticks(range(6), EMOTIONS[:-1])
    axes[0].set(ylabel="RMS movement, mm", title="real: all; synthetic: 90 %", ylim=(0, None))
    axes[0].legend(frameon=False)
    if "units_mm" in result:
        units = list(result["units_mm"])
        for key, colour, shift in (("ARKit at 1", _REAL, -0.2), ("ours at 5", _OURS, 0.2)):
            values = [result["units_mm"][unit][key] for unit in units]
            axes[1].bar(np.arange(len(units)) + shift, values, 0.4, color=colour, label=key)
        axes[1].set_xticks(range(len(units)), [unit[2:].lstrip("0") for unit in units])
        axes[1].set(xlabel="action unit", ylabel="RMS movement, mm", title="action units and blendshapes")
        axes[1].legend(frameon=False)
    _save(figure, path)


def geometry_table(result):
    """Returns the figures of the clouds as Markdown."""
    real, ours = result["real"], result["synthetic"]
    lines = [f"| | real, {real['people']} people | synthetic, {ours['people']} people |", "|---|---|---|"]
    for side in ("lowest", "highest"):
        cells = (", ".join(f"{value:g}" for value in part[f"{side}_mm"]) for part in (real, ours))
        lines.append(f"| neutral, {side} x, y, z, mm | " + " | ".join(cells) + " |")
    for emotion in EMOTIONS[:-1]:
        first, second = real["motion_mm"][emotion], ours["motion_mm"][emotion]
        lines.append(
            f"| {emotion}, RMS movement, mm | {first['least']:.1f} … {first['most']:.1f}"
            f" | median {second['median']:.1f}, 90 % in {second['5 %']:.1f} … {second['95 %']:.1f} |"
        )
    for key, words in (("occupied_voxels", "occupied cells of 24³"), ("fullest_voxel", "points in the fullest cell")):
        cells = (f"{part[key][0]} … {part[key][2]}, mean {part[key][1]}" for part in (real, ours))
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_action_units(result, path):
    """Draws the mean intensity of each action unit, posed and genuine, real and synthetic."""
    figure, axes = _canvas(len(result))
    for axis, (name, part) in zip(axes, sorted(result.items()), strict=True):
        units = list(part["mean"])
        for side, (words, shift) in enumerate((("posed", -0.2), ("genuine", 0.2))):
            values = [part["mean"][unit][side] for unit in units]
            axis.bar(np.arange(len(units)) + shift, values, 0.4, color=(_REAL, _OURS)[side], label=words)
        axis.set_xticks(range(len(units)), [unit[2:].lstrip("0") for unit in units])
        axis.set(xlabel="action unit", ylabel="mean intensity", title=f"{name}, {part['rows']} rows")
        axis.legend(frameon=False)
    _save(figure, path)


def action_unit_table(result):
    """Returns the figures of the action units as Markdown."""
    lines = [
        "| data | rows | zeros | linear classifier, posed or genuine | with left less right |",
        "|---|---|---|---|---|",
    ]
    for name, part in sorted(result.items()):
        sides = part.get("linear_accuracy_with_asymmetry")
        lines.append(
            f"| {name} | {part['rows']} | {part['zero']:.0%} | {part['linear_accuracy']:.1%}"
            f" | {'' if sides is None else f'{sides:.1%}'} |"
        )
    return "\n".join(lines)
