"""Trains the models of a wrong answer with its own functions, for a few seconds. Run by `grader/wrong_answers.py`.

Reads one JSON object from standard input: `folder` (a submission), `fer2013` (a csv), `models` (file name → recipe). A
recipe names the function that `make`s the network, how many training pictures (`num_images`) and `epochs` it gets, and
functions of `cnn.py`, if any, that pictures go `through` after `prepare_images`, and labels (`labels_through`).
"""

import json
import os
import sys

import keras


def main():
    """Trains and saves each model."""
    job = json.load(sys.stdin)
    sys.path.insert(0, job["folder"])
    os.chdir(job["folder"])
    import cnn
    from expressions.fer2013 import load_fer2013

    fer = load_fer2013(job["fer2013"])
    for filename, recipe in job["models"].items():
        keras.utils.set_random_seed(0)
        pixel_strings, labels = fer.split("Training")
        images = cnn.prepare_images(pixel_strings[: recipe["num_images"]])
        if "through" in recipe:
            images = getattr(cnn, recipe["through"])(images)
        if "labels_through" in recipe:
            labels = getattr(cnn, recipe["labels_through"])(labels)
        targets = keras.utils.to_categorical(labels[: len(images)], 7)
        num_val = len(images) // 10
        model = getattr(cnn, recipe["make"])()
        cnn.train(
            model, images[num_val:], targets[num_val:], images[:num_val], targets[:num_val],
            epochs=recipe["epochs"], batch_size=64,
        )  # fmt: skip
        model.save(filename, include_optimizer=False)


if __name__ == "__main__":
    main()
