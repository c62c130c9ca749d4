"""Shows what a trained network makes of one picture (handout step 3d).

    python test_cnn.py                            the first test picture, read by model_1.h5
    python test_cnn.py 17 --model model_2.h5      test picture 17
    python test_cnn.py me.jpg --model model_3.h5  a picture of your own, cropped to the face
    python test_cnn.py 17 --save prediction.png   writes the figure instead of opening a window

Needs a saved network, and your own functions: prepare_images for a number, load_photos for a file.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from expressions.command_line import run_script
from expressions.datasets import find_fer2013
from expressions.errors import DataError
from expressions.labels import EMOTIONS


def main():
    """Reads a picture, predicts, prints and plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", default="0", help="number of a PublicTest picture, or an image file")
    parser.add_argument("--model", default="model_1.h5", help="a saved network (default: model_1.h5)")
    parser.add_argument("--data", help="a csv in FER-2013's format")
    parser.add_argument("--save", metavar="PNG", help="write the figure here, which needs no screen")
    arguments = parser.parse_args()
    check_model(arguments.model)
    image, true_label = read_picture(arguments.picture, arguments.data)

    import keras

    from expressions.plotting import plot_emotion_prediction

    model = keras.models.load_model(arguments.model, compile=False)
    prediction = model.predict(image, verbose=0)[0]  # (7,)

    truth = "" if true_label is None else f"; the label says {EMOTIONS[true_label]}"
    print(f"{arguments.model} says {EMOTIONS[prediction.argmax()]} ({prediction.max():.0%}){truth}.")
    plot_emotion_prediction(prediction, image=image[0], path=arguments.save, title=f"{arguments.model}{truth}")


def check_model(path):
    """Refuses a file that is no network for pictures, before Keras opens it.

    Raises:
        DataError: there is no such file, or it is not such a network.
    """
    from expressions.model_file import audit_in_child

    if not Path(path).exists():
        raise DataError(f"There is no {path}.", "a trained network", "run cnn.py, or name another file")
    audit = audit_in_child(path)
    if not audit["accepted"]:
        reason = audit["reasons"][0]
        raise DataError(f"{path}: {reason['what']}", reason["wanted"], reason["try"])
    if audit["input_shape"] and list(audit["input_shape"]) != [None, 48, 48, 1]:
        raise DataError(f"{path} takes {audit['input_shape']}.", "a network for (None, 48, 48, 1)", "name another file")


def read_picture(picture, csv=None):
    """Reads one picture by the student's own functions.

    Args:
        picture: str, the number of a PublicTest picture, or the path of an image file.
        csv: path of the csv to count in, or `None` to choose.

    Returns:
        `(image, label)`: float32 array of shape `(1, 48, 48, 1)` in [0, 1], and an int or `None`.

    Raises:
        DataError: there is no such picture.
    """
    if picture.isdigit():
        from cnn import prepare_images
        from expressions.fer2013 import load_fer2013

        csv_path, description = find_fer2013(csv)
        print(description)
        pixel_strings, labels = load_fer2013(csv_path).split("PublicTest")
        if int(picture) >= len(labels):
            raise DataError(
                f"There is no PublicTest picture {picture}.", f"a number from 0 to {len(labels) - 1}", "count from 0"
            )
        return prepare_images([pixel_strings[int(picture)]]), int(labels[int(picture)])

    if not Path(picture).exists():
        raise DataError(f"There is no {picture}.", "a number, or the path of an image file", "check its spelling")
    from transfer import load_photos

    # load_photos reads seven photos, one per emotion: here are seven copies of one.
    with tempfile.TemporaryDirectory() as folder:
        for name in EMOTIONS:
            shutil.copy(picture, Path(folder) / f"{name.lower()}{Path(picture).suffix}")
        images, _ = load_photos(Path(folder))
    return images[:1], None


if __name__ == "__main__":
    run_script(main)
