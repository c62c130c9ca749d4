"""Shows what a trained network makes of one picture (handout step 3d).

    python test_cnn.py                            the first test picture, read by model_1.h5
    python test_cnn.py 17 --model model_2.h5      test picture 17
    python test_cnn.py me.jpg --model model_3.h5  a picture of your own, cropped to the face
    python test_cnn.py 17 --save prediction.png   writes the figure instead of opening a window

Needs a saved network, and your prepare_images from cnn.py.
"""

import argparse
import sys
from pathlib import Path

from expressions.datasets import find_fer2013
from expressions.errors import DataError
from expressions.labels import EMOTIONS


def main():
    """Reads a picture, predicts, prints and plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", default="0", help="number of a PublicTest picture, or an image file")
    parser.add_argument("--model", default="model_1.h5", help="a saved network (default: model_1.h5)")
    parser.add_argument("--data", help="a csv in FER-2013's format")
    parser.add_argument("--save", metavar="PNG", help="write the figure here")
    arguments = parser.parse_args()
    try:
        if not Path(arguments.model).exists():
            raise DataError(f"There is no {arguments.model}.", "a trained network", "run cnn.py, or name another file")
        pixels, true_label = read_picture(arguments.picture, arguments.data)
    except DataError as error:
        sys.exit(str(error))

    import keras

    from cnn import prepare_images
    from expressions.plotting import plot_emotion_prediction

    image = prepare_images([pixels])  # (1, 48, 48, 1)
    model = keras.models.load_model(arguments.model, compile=False)
    prediction = model.predict(image, verbose=0)[0]  # (7,)

    truth = "" if true_label is None else f"; the label says {EMOTIONS[true_label]}"
    print(f"{arguments.model} says {EMOTIONS[prediction.argmax()]} ({prediction.max():.0%}){truth}.")
    plot_emotion_prediction(prediction, image=image[0], path=arguments.save, title=f"{arguments.model}{truth}")


def read_picture(picture, csv=None):
    """Returns a picture as a pixel string, as the csv has it, and its label if that is known.

    Args:
        picture: str, the number of a PublicTest picture, or the path of an image file.
        csv: path of the csv to count in, or `None` to choose.

    Returns:
        `(pixels, label)`: a string of 2304 whole numbers, and an int or `None`.

    Raises:
        DataError: there is no such picture.
    """
    if picture.isdigit():
        from expressions.fer2013 import load_fer2013

        csv_path, description = find_fer2013(csv)
        print(description)
        pixel_strings, labels = load_fer2013(csv_path).split("PublicTest")
        if int(picture) >= len(labels):
            raise DataError(
                f"There is no PublicTest picture {picture}.", f"a number from 0 to {len(labels) - 1}", "count from 0"
            )
        return pixel_strings[int(picture)], int(labels[int(picture)])

    if not Path(picture).exists():
        raise DataError(f"There is no {picture}.", "a number, or the path of an image file", "check its spelling")
    import keras

    grey = keras.utils.img_to_array(keras.utils.load_img(picture, color_mode="grayscale", target_size=(48, 48)))
    return " ".join(str(int(value)) for value in grey.ravel()), None


if __name__ == "__main__":
    main()
