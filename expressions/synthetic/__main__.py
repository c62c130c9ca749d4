"""Makes any view of the synthetic class in the real file format.

    python -m expressions.synthetic fer2013 --out fer2013.csv --size 5000
    python -m expressions.synthetic faces --out faces.py --size 10
    python -m expressions.synthetic photos --out data/photos
    python -m expressions.synthetic sheet --out sheets

With `--cache FOLDER` in place of `--out` it fills the cache that the scripts of the kit look into.
"""

import argparse

from expressions.synthetic import files
from expressions.synthetic.presets import PRESETS


def main(arguments=None):
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m expressions.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=["fer2013", "faces", "photos", "sheet"])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="PATH", help="csv; faces.py or .npz; folder for train/ and test/; folder")
    where.add_argument("--cache", metavar="FOLDER", help="make the preset's own file under FOLDER/<preset>")
    parser.add_argument("--size", type=int, metavar="N", help="images in all, or people (default: the preset's)")
    parser.add_argument("--seed", type=int, metavar="S", help="another seed gives other people (default: the preset's)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default", help="sizes and difficulty")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    options = parser.parse_args(arguments)
    if options.size is not None and options.size < 1:
        parser.error(f"--size is {options.size}; wanted at least 1")
    if options.cache and ((options.size, options.seed) != (None, None) or options.kind == "sheet"):
        parser.error("--cache keeps the preset's own size and seed, and no sheets")

    preset = PRESETS[options.preset]
    seed = preset.seed if options.seed is None else options.seed
    if options.cache:
        ensure = {"fer2013": files.ensure_fer2013, "faces": files.ensure_faces, "photos": files.ensure_photos}
        extra = {"jobs": options.jobs} if options.kind == "fer2013" else {}
        print(ensure[options.kind](options.preset, options.cache, **extra))
    elif options.kind == "fer2013":
        sizes = preset.num_images if options.size is None else files.divide(options.size)
        files.write_fer2013(
            options.out, sizes, seed, preset=options.preset, jobs=options.jobs, progress=files.Progress("Images")
        )
    elif options.kind == "faces":
        num_subjects = options.size or preset.num_subjects
        files.write_faces(options.out, num_subjects, seed, options.preset, files.Progress("People"))
    elif options.kind == "photos":
        subject = preset.subject if options.seed is None else options.seed
        files.write_photos(options.out, subject, files.Progress("Portraits"))
    else:
        print(*files.write_sheets(options.out, seed, options.preset, options.seed, options.jobs), sep="\n")


if __name__ == "__main__":
    main()
