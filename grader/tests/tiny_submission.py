"""A submission as small as it can be and still right: three scripts, photos, and models of one dense layer."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CNN = """
import keras
import numpy as np
from keras import layers


def prepare_images(pixel_strings):
    rows = [np.array(text.split(), dtype="float32") for text in pixel_strings]
    return (np.stack(rows) / 255).reshape(-1, 48, 48, 1)


def make_model_1():
    model = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Conv2D(64, (5, 5), activation="relu"),
            layers.MaxPooling2D((5, 5), strides=(2, 2)),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dense(7, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"])
    return model


def train(model, x_train, y_train, x_val, y_val, epochs=5, batch_size=256):
    return model.fit(
        x_train, y_train, validation_data=(x_val, y_val), epochs=epochs, batch_size=batch_size, verbose=0
    )


def make_model_2():
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D(), layers.Dense(7, "softmax")]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    return model
"""

TRANSFER = """
import numpy as np
import keras
from PIL import Image

from expressions.photos import find_photos, open_photo


def load_photos(folder):
    images, labels = [], []
    for photo in find_photos(folder):
        image = open_photo(photo.path)
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image) / 257).astype("uint8"))
        image = image.convert("L").resize((48, 48))
        images.append(np.asarray(image, dtype="float32") / 255)
        labels.append(photo.label)
    return np.stack(images)[..., np.newaxis], np.array(labels)


def personalize(model, images, labels):
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(1e-3))
    model.fit(images, labels, epochs=10, verbose=0)
    return model
"""

CNNX = """
import numpy as np

LOW, HIGH = np.array([-0.1, -0.13, -0.06]), np.array([0.1, 0.11, 0.1])


def voxelize(points, size=24):
    cells = np.floor((points - LOW) / (HIGH - LOW) * size).astype(int)
    x, y, z = np.clip(cells, 0, size - 1).T
    grid = np.zeros((size, size, size))
    np.add.at(grid, (x, y, z), 1)
    return grid


def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    people = np.unique(subject_ids)
    chosen = np.random.default_rng(seed).permutation(people)[: round(test_fraction * len(people))]
    is_test = np.isin(subject_ids, chosen)
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def make_model_4():
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((24, 24, 24, 1)),
            layers.Conv3D(2, 3, activation="relu"),
            layers.MaxPool3D(4),
            layers.Flatten(),
            layers.Dense(7, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model
"""

SCRIPTS = {"cnn.py": CNN, "transfer.py": TRANSFER, "cnnx.py": CNNX}

# Runs in a process of its own: the tests' process stays without TensorFlow.
MAKE_MODELS = """
import sys
import keras
import numpy as np
from keras import layers

folder = sys.argv[1]
keras.utils.set_random_seed(1)


def dense(shape):
    hidden, last = layers.Dense(3, activation="relu"), layers.Dense(7, activation="softmax")
    return keras.Sequential([keras.Input(shape), layers.Flatten(), hidden, last])


first, second, fourth = dense((48, 48, 1)), dense((48, 48, 1)), dense((24, 24, 24, 1))
third = keras.models.clone_model(second)
random = np.random.default_rng(0)
third.set_weights([weight + 0.01 * random.normal(size=weight.shape) for weight in second.get_weights()])
broken = keras.models.clone_model(second)
broken.set_weights([weight * np.nan for weight in second.get_weights()])
coloured = dense((32, 32, 3))
six = keras.Sequential([keras.Input((48, 48, 1)), layers.Flatten(), layers.Dense(6)])
big = dense((224, 224, 3))
names = {"model_1": first, "model_2": second, "model_3": third, "model_4": fourth, "broken": broken}
for name, model in {**names, "coloured": coloured, "six": six, "big": big}.items():
    model.save(f"{folder}/{name}.h5")
"""


def made_models(folder):
    """Makes the models once for all test files of a run.

    Args:
        folder: Path that lives as long as the run, such as `tmp_path_factory.getbasetemp()`.

    Returns:
        Path of a folder with `model_1.h5` … `model_4.h5`, `broken.h5`, `coloured.h5`, `six.h5`, `big.h5`.
    """
    target = Path(folder) / "tiny_models"
    if not target.is_dir():
        draft = target.with_name(f"tiny_models_{os.getpid()}")
        draft.mkdir()
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        subprocess.run(
            [sys.executable, "-c", MAKE_MODELS, str(draft)], check=True, env=quiet, capture_output=True, timeout=120
        )
        draft.rename(target)
    return target


@dataclass
class TinySubmission:
    """Has the attributes of `grader.intake.Submission` that evidence reads."""

    folder: Path
    name: str = "tiny"
    sha256: str = "0" * 64
    mapped: list = field(default_factory=list)
    refused: list = field(default_factory=list)


@dataclass
class TinyHidden:
    """Has the attributes of `grader.hidden.HiddenData` that evidence may read; labels would be a mistake."""

    num_images: int = 20
    num_clouds: int = 8
    version: str = "tiny-data"

    @property
    def images(self):
        return np.random.default_rng(0).integers(0, 256, (self.num_images, 48, 48, 1), dtype=np.uint8)

    @property
    def clouds(self):
        points = np.random.default_rng(1).normal(size=(self.num_clouds, 1220, 3)) * [0.03, 0.04, 0.02]
        return points.astype(np.float32)


def write_scripts(folder, **changed):
    """Writes the three scripts, some of them changed: `cnnx="…"`; None leaves one out."""
    for name, text in SCRIPTS.items():
        text = changed.get(name.removesuffix(".py"), text)
        if text is not None:
            (Path(folder) / name).write_text(text)
    return Path(folder)
