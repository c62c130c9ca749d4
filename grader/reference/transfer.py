"""Task 2: teach model_2 your own face with seven photos (handout section 4).

    python transfer.py                 fine-tunes model_2.h5 on data/photos/train, tests it on data/photos/test
    python transfer.py --epochs 5      the same, quickly

Needs model_2.h5 (run cnn.py first), and your photos: seven in data/photos/train, seven others in data/photos/test,
each cropped to your face and named after its emotion (happy.jpg, sad.png, …). It takes less than a minute. You see the
accuracy on your seven test photos before and after, and a bar chart of each prediction.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps

from expressions.command_line import count, run_script
from expressions.datasets import find_photo_folders
from expressions.errors import DataError
from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.photos import find_photos, open_photo
from expressions.plotting import plot_emotion_prediction
from expressions.seeds import choose_seed

IMAGE_SHAPE = (48, 48, 1)
EPOCHS = 80


def load_photos(folder):
    """Reads seven photos as pictures like those of FER-2013 (step 7b).

    Args:
        folder: path of a folder with seven PNG or JPEG files of any size, in colour or grey, one per emotion;
            a PNG may be transparent in places. `find_photos` names them, `open_photo` opens one the right way up.

    Returns:
        images: float32 array of shape `(7, 48, 48, 1)`, grey, every value from 0.0 to 1.0.
        labels: int array of shape `(7,)`, the emotion of each picture, 0 to 6.
    """
    # BEGIN SOLUTION 7b: Turn each photo into a grey picture of 48 × 48 numbers between 0 and 1.
    images = []
    labels = []
    for photo in find_photos(folder):
        picture = open_photo(photo.path)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = ImageOps.fit(picture.convert("L"), IMAGE_SHAPE[:2])  # cuts the longer side, so a face keeps its shape
        images.append(np.asarray(picture, dtype="float32") / 255)
        labels.append(photo.label)
    images = np.stack(images).reshape(-1, *IMAGE_SHAPE)  # (7, 48, 48, 1)
    labels = np.array(labels)  # (7,)
    # END SOLUTION
    return images, labels


def personalize(model, images, labels, epochs=EPOCHS):
    """Fine-tunes a trained network on a few photos of one person (step 7c).

    Args:
        model: trained `keras.Model` from pictures `(batch, 48, 48, 1)` to probabilities `(batch, 7)`.
        images: float32 array of shape `(n, 48, 48, 1)` in [0, 1].
        labels: int array of shape `(n,)`, 0 to 6.
        epochs: int, passes over the photos.

    Returns:
        `keras.Model`, the fine-tuned network.
    """
    # BEGIN SOLUTION 7c: Train the model on the photos, gently: it should learn your face, not forget all others.
    personal = keras.models.clone_model(model)
    personal.set_weights(model.get_weights())
    # Seven pictures are too few to estimate a mean and a variance: batch normalisation keeps what it learned before.
    for layer in personal.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    personal.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(3e-4), metrics=["accuracy"])
    personal.fit(images, keras.utils.to_categorical(labels, NUM_CLASSES), batch_size=7, epochs=epochs, verbose=0)
    # END SOLUTION
    return personal


def main():
    """Loads the network and the photos, fine-tunes, tests and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=count, default=EPOCHS, help=f"passes over the photos (default: {EPOCHS})")
    parser.add_argument("--limit", type=count, help="use only the first LIMIT photos of each folder")
    parser.add_argument("--data", help="a folder with subfolders train and test")
    parser.add_argument("--seed", type=int, help="start the random numbers here (default: seed.json, or a new one)")
    arguments = parser.parse_args()

    if not Path("model_2.h5").exists():
        raise DataError("There is no model_2.h5 in this folder.", "the network of step 4", "run python cnn.py first")
    folder, description = find_photo_folders(arguments.data)
    print(description)
    keras.utils.set_random_seed(choose_seed(arguments.seed))

    train_images, train_labels = (part[: arguments.limit] for part in load_photos(folder / "train"))
    test_images, test_labels = (part[: arguments.limit] for part in load_photos(folder / "test"))

    # Keras 3 cannot go on training with the optimizer of an .h5 file: load with compile=False, and compile anew.
    # BEGIN SOLUTION 7c: Load model_2.h5 as model_2.
    model_2 = keras.models.load_model("model_2.h5", compile=False)
    # END SOLUTION
    model_3 = personalize(model_2, train_images, train_labels, epochs=arguments.epochs)

    # The last line below reports num_before and num_after: how many test photos each network reads correctly.
    # BEGIN SOLUTION 7d: Predict your test photos with both networks, plot the predictions, count the right ones.
    before = model_2.predict(test_images, verbose=0)  # (7, 7)
    after = model_3.predict(test_images, verbose=0)  # (7, 7)
    for image, label, prediction in zip(test_images, test_labels, after):
        name = EMOTIONS[label]
        plot_emotion_prediction(prediction, image=image, path=f"photo_{name.lower()}.png", title=f"Test photo: {name}")
        print(f"{name:9} read as {EMOTIONS[np.argmax(prediction)]:9} {prediction.max():4.0%}")
    num_before = int((before.argmax(axis=1) == test_labels).sum())
    num_after = int((after.argmax(axis=1) == test_labels).sum())
    # END SOLUTION

    # BEGIN SOLUTION 7f: Save your personal network as model_3.h5.
    model_3.save("model_3.h5", include_optimizer=False)
    # END SOLUTION
    print(f"Saved model_3.h5: {num_after} of {len(test_labels)} test photos right, {num_before} before.")


if __name__ == "__main__":
    run_script(main)
