"""Makes any view of the synthetic class in the real file format.

    python -m expressions.synthetic fer2013 --out fer2013.csv --size 5000
    python -m expressions.synthetic fer2013 --out fer2013.csv --preset full      28,709 + 3,589 + 3,589
    python -m expressions.synthetic faces --out faces.py --size 10
    python -m expressions.synthetic photos --out data/photos
    python -m expressions.synthetic sequences --out ck --size 10
    python -m expressions.synthetic sheet --out sheets

`python -m expressions.synthetic KIND --help` says what is written. The same seed gives the same faces, whatever the
number of processes. `manifest.json` beside the output keeps seed, sizes, class counts and label noise.
"""

import argparse

from expressions.synthetic import files
from expressions.synthetic.presets import PRESETS, preset_of

_DESCRIPTIONS = {
    "fer2013": (
        "48×48 pictures as Kaggle's fer2013.csv",
        "A csv with the columns emotion (0 … 6), pixels (2304 numbers) and Usage. Class proportions are FER-2013's, at"
        " `--preset full` its exact counts; some labels are wrong, as there, and the manifest says how many and what"
        " the faces really show.",
    ),
    "faces": (
        "point clouds as the course's faces.py",
        "Seven clouds of 1220 points in metres for each person: a .py with one nested dict, or an .npz with points,"
        " labels and subject_ids.",
    ),
    "photos": (
        "seven and seven portraits of one person",
        "Folders train and test with angry.png … neutral.png, 480×640, RGB. The seed decides who it is.",
    ),
    "action-units": (
        "a table of 17 action units, posed or genuine",
        "A csv with semicolons: AU01_r … AU45_r from 0 to 5, and class, 0 posed or 1 genuine.",
    ),
    "openface": (
        "posed.csv and genuine.csv in OpenFace 2's layout",
        "A row per frame with frame, face_id, timestamp, confidence, success, AU01_r … AU45_r and AU01_c … AU45_c;"
        " column names have leading spaces, and tracking fails in one frame of fifty.",
    ),
    "landmarks": (
        "68 or 468 landmarks of people showing CK+'s emotions",
        "An .npz with points (n, 468, 3), labels, subjects and filenames, or a .csv with a row per frame. 468 are"
        " numbered as MediaPipe's FaceMesh, 68 as iBUG 300-W.",
    ),
    "sequences": (
        "films from neutral to apex in CK+'s folders",
        "cohn-kanade-images/S001/001/S001_001_00000001.png … with Landmarks, Emotion and FACS beside it. Five"
        " sequences a person, some without a label, as in CK+; the last fifth of each is the apex.",
    ),
    "sheet": ("contact sheets, to look at", "PNG files, one row or column per emotion."),
    "figures": ("the pictures of README.md", "PNG files of the class and of its limits."),
    "study": (
        "unlabelled pictures for readers, and the key",
        "Numbered pictures at the apex, without names, and a csv that says which emotion each shows: give readers the"
        " pages, keep the key.",
    ),
}
_SIZES = {
    "fer2013": "images in all, divided 8 : 1 : 1 (default: the preset's)",
    "faces": "people (default: the preset's)",
    "action-units": "rows (default: 1200)",
    "openface": "rows (default: 1200)",
    "landmarks": "people (default: 85)",
    "sequences": "people (default: 10)",
}
_OUTS = {
    "fer2013": "csv",
    "faces": "faces.py or .npz",
    "photos": "folder for train/ and test/",
    "action-units": "csv",
    "openface": "folder",
    "landmarks": ".npz or .csv",
    "sequences": "folder",
    "sheet": "folder",
    "study": "folder",
    "figures": "folder",
}
_CACHED = ("fer2013", "faces", "photos")
_PARALLEL = ("fer2013", "sequences", "sheet")


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _picture_size(text):
    width, _, height = text.partition("x")
    return _count(width), _count(height)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m expressions.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, (short, long) in _DESCRIPTIONS.items():
        one = kinds.add_parser(kind, help=short, description=f"Writes {short}. {long}")
        where = one.add_mutually_exclusive_group(required=True)
        where.add_argument("--out", metavar="PATH", help=_OUTS[kind])
        if kind in _CACHED:
            where.add_argument("--cache", metavar="FOLDER", help="make the preset's own file under FOLDER/<preset>")
        if kind in _SIZES:
            one.add_argument("--size", type=_count, metavar="N", help=_SIZES[kind])
        if kind != "figures":
            one.add_argument("--seed", type=int, metavar="S", help="another seed, other people (default: the preset's)")
            one.add_argument("--preset", choices=sorted(PRESETS), default="default", help="sizes and difficulty")
        if kind in _PARALLEL:
            one.add_argument("--jobs", type=_count, metavar="N", help="processes (default: one per core)")
    kinds.choices["fer2013"].add_argument(
        "--images-per-person", type=_count, default=1, metavar="N", help="default: 1, everybody is seen once"
    )
    kinds.choices["study"].add_argument(
        "--pictures", choices=("images", "portraits"), default="images", help="48×48 or portraits (default: images)"
    )
    kinds.choices["study"].add_argument("--per-emotion", type=_count, default=10, metavar="N", help="default: 10")
    kinds.choices["landmarks"].add_argument("--points", type=int, choices=(68, 468), default=468, help="default: 468")
    kinds.choices["sequences"].add_argument(
        "--genuine", action="store_true", help="felt expressions; default: posed, as in CK+"
    )
    kinds.choices["sequences"].add_argument(
        "--frame", type=_picture_size, metavar="WxH", help="pixels of a frame (default: CK+'s 640x490)"
    )
    return parser


def main(arguments=None):
    """Runs the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    given = vars(options)
    kind, size, jobs = options.kind, given.get("size"), given.get("jobs")
    preset = PRESETS[given.get("preset", "default")]
    seed = preset.seed if given.get("seed") is None else options.seed
    if given.get("cache"):
        if (size, options.seed) != (None, None) or given.get("images_per_person", 1) != 1:
            parser.error("--cache keeps the preset's own size and seed")
        ensure = {"fer2013": files.ensure_fer2013, "faces": files.ensure_faces, "photos": files.ensure_photos}
        extra = {"jobs": jobs} if kind == "fer2013" else {}
        print(ensure[kind](options.preset, options.cache, **extra))
    elif kind == "fer2013":
        sizes = preset.num_images if size is None else files.divide(size)
        progress = files.Progress("Images")
        files.write_fer2013(options.out, sizes, seed, None, options.preset, jobs, progress, options.images_per_person)
    elif kind == "faces":
        files.write_faces(options.out, size or preset.num_subjects, seed, options.preset, files.Progress("People"))
    elif kind == "photos":
        subject = preset.subject if options.seed is None else options.seed
        files.write_photos(options.out, subject, files.Progress("Portraits"))
    elif kind == "action-units":
        files.write_action_units(options.out, size or 1200, seed, options.preset)
    elif kind == "openface":
        files.write_openface(options.out, size or 1200, seed, options.preset)
    elif kind == "landmarks":
        files.write_landmarks(options.out, size or 85, seed, options.points, options.preset)
    elif kind == "sequences":
        progress = files.Progress("Sequences")
        files.write_sequences(
            options.out, size or 10, seed, options.preset, options.genuine, options.frame, jobs, progress
        )
    elif kind == "figures":
        from expressions.synthetic.figures import write_figures

        print(*write_figures(options.out), sep="\n")
    elif kind == "study":
        from expressions.synthetic.sheets import write_study

        print(*write_study(options.out, seed, options.pictures, options.per_emotion), sep="\n")
    else:
        subject = preset_of(options.preset).subject if options.seed is None else options.seed
        print(*files.write_sheets(options.out, seed, options.preset, subject, jobs), sep="\n")


if __name__ == "__main__":
    main()
