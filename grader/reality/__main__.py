"""Compares the synthetic class with real data, whose paths you give.

    python -m grader.reality images --fer2013 fer2013.csv --out reality
    python -m grader.reality geometry --faces faces.py --blendshapes blendshapes.npz --out reality
    python -m grader.reality transfer --faces faces.py --blendshapes blendshapes.npz --out reality
    python -m grader.reality action-units --action-units openface.csv --out reality
    python -m grader.reality difficulty --preset full --out reality

Each prints a table, and writes a JSON file and, but for transfer and difficulty, a figure. What is written holds
numbers and curves over many faces: no picture, no vertex and no mean face of the real data.
"""

import argparse
import json
from pathlib import Path

from expressions.command_line import count


def _images(options):
    from expressions.fer2013_arrays import load_fer2013_arrays
    from expressions.synthetic import make_images
    from grader.reality import figures, images

    fer_images, fer_labels = load_fer2013_arrays(options.fer2013, cache=False).split("Training")
    made, labels, _ = make_images(options.size, options.seed, options.preset, jobs=None)
    result = images.compare((fer_images[: options.size], fer_labels[: options.size]), (made, labels))
    return result, figures.draw_images, figures.image_table(result)


def _geometry(options):
    from expressions.point_clouds import load_point_clouds
    from expressions.synthetic import make_clouds
    from grader.reality import figures, geometry

    made = make_clouds(50, options.seed, options.preset)
    result = geometry.compare(load_point_clouds(options.faces), made, options.blendshapes)
    return result, figures.draw_geometry, figures.geometry_table(result)


def _transfer(options):
    from expressions.point_clouds import load_point_clouds
    from grader.reality import transfer

    tests = {"real": load_point_clouds(options.faces)}
    if options.blendshapes:
        tests["blendshapes"] = transfer.blendshape_person(options.blendshapes)
    rows = transfer.measure(tests, range(1, options.seeds + 1), networks=not options.linear_only)
    return rows, None, transfer.table(rows)


def _action_units(options):
    from grader.reality import action_units, figures

    result = action_units.compare(options.action_units, options.size, options.seed)
    return result, figures.draw_action_units, figures.action_unit_table(result)


def _difficulty(options):
    from grader.reality import difficulty

    result = difficulty.train_reference(options.out, options.preset, options.seed, options.networks)
    lines = ["| network and split | right | of |", "|---|---|---|"]
    lines += [f"| {name} | {accuracy:.1%} | {total} |" for name, (accuracy, total) in result.items()]
    return result, None, "\n".join(lines)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m grader.reality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = {}
    for name, run, text in (
        ("images", _images, "brightness, contrast and spectrum beside FER-2013's"),
        ("geometry", _geometry, "size, motion and voxels beside real clouds'"),
        ("transfer", _transfer, "readers that learned from synthetic clouds, on real ones"),
        ("action-units", _action_units, "intensities beside OpenFace's, posed and genuine"),
        ("difficulty", _difficulty, "the reference's networks, trained on a preset"),
    ):
        one[name] = kinds.add_parser(name, help=text, description=text)
        one[name].set_defaults(run=run)
        one[name].add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
        one[name].add_argument("--seed", type=int, default=1, help="of the synthetic faces or of the training")
        one[name].add_argument("--preset", default="full" if name in ("images", "difficulty") else "default")
    one["images"].add_argument("--fer2013", type=Path, required=True, metavar="PATH", help="Kaggle's csv")
    one["images"].add_argument("--size", type=count, default=4000, help="pictures of each (default: 4000)")
    for name in ("geometry", "transfer"):
        one[name].add_argument("--faces", type=Path, required=True, metavar="PATH", help="a faces.py or npz")
        one[name].add_argument("--blendshapes", type=Path, metavar="PATH", help="npz of ARKit's names and verts")
    one["transfer"].add_argument("--seeds", type=count, default=3, help="how many (default: 3)")
    one["transfer"].add_argument("--linear-only", action="store_true", help="no voxel networks: seconds, no minutes")
    one["action-units"].add_argument("--action-units", type=Path, metavar="PATH", help="OpenFace table with class")
    one["action-units"].add_argument("--size", type=count, default=1200, help="synthetic rows (default: 1200)")
    one["difficulty"].add_argument(
        "--networks", nargs="+", choices=("model_1", "model_2", "voxels"), default=("model_1", "model_2", "voxels")
    )
    return parser


def main(arguments=None):
    """Runs the command line."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    result, draw, table = options.run(options)
    print(table)
    (options.out / f"{options.kind}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if draw:
        draw(result, options.out / f"{options.kind}.png")


if __name__ == "__main__":
    main()
