"""Task 1: convolutional networks that read an expression from a 48 × 48 picture (handout section 3).

    python cnn.py                           trains both networks and saves model_1.h5 and model_2.h5
    python cnn.py --limit 1000 --epochs 1   the same in a minute, to see whether everything runs
    python cnn.py --only model_2            leaves model_1.h5 as it is

Edit the parts marked TODO, in the order of the handout's steps. When all are done you see a progress bar per epoch,
then one line per network with its accuracy; learning curves, confusion matrices and a diagram lie beside the models.
A run replaces the models of the last one, a trial with --limit too.

On FER-2013, with 2 cores, model_1 takes about a minute an epoch and reads 46 to 49 of 100 PublicTest pictures after
five; on the synthetic class a quarter of that, and 58 of 100.
"""

import argparse
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from expressions.command_line import count, run_script
from expressions.datasets import find_fer2013
from expressions.fer2013 import load_fer2013
from expressions.labels import NUM_CLASSES
from expressions.plotting import plot_architecture
from expressions.seeds import choose_seed
from expressions.training_report import report_training

IMAGE_SHAPE = (48, 48, 1)
MODEL_1_EPOCHS = 5
MODEL_1_BATCH_SIZE = 256
MODEL_2_EPOCHS = 15
MODEL_2_BATCH_SIZE = 128


# --- Step 1: data ---------------------------------------------------------------------------------------------------


def prepare_images(pixel_strings):
    """Turns the csv's pixel strings into pictures that a network can read (steps 1b and 1c).

    Args:
        pixel_strings: list of n strings, each of 2304 whole numbers from 0 to 255, row by row: `"70 80 82 …"`.

    Returns:
        float32 array of shape `(n, 48, 48, 1)`, every value from 0.0 to 1.0.
    """
    # BEGIN SOLUTION 1b: Convert the pixel strings to float32 numbers between 0 and 1.
    # fromstring reads a row in one C loop: 3 seconds for the whole csv, where split() and float() take 20.
    images = np.empty((len(pixel_strings), math.prod(IMAGE_SHAPE)), dtype="float32")
    for row, pixels in zip(images, pixel_strings):
        row[:] = np.fromstring(pixels, dtype="float32", sep=" ")
    images /= 255  # (n, 2304)
    # END SOLUTION

    # BEGIN SOLUTION 1c: Reshape the images to (n, 48, 48, 1).
    images = images.reshape(-1, *IMAGE_SHAPE)  # (n, 48, 48, 1)
    # END SOLUTION
    return images


# --- Step 2: the first network ---------------------------------------------------------------------------------------


def make_model_1():
    """Builds and compiles the handout's network, layer by layer (steps 2a to 2f and 3b).

    Returns:
        compiled `keras.Model`: pictures `(batch, 48, 48, 1)` → probabilities `(batch, 7)`.
    """
    # BEGIN SOLUTION 2a: Create an Input layer for pictures of shape (48, 48, 1).
    inputs = keras.Input(shape=IMAGE_SHAPE)
    # END SOLUTION

    # BEGIN SOLUTION 2b: Add a Conv2D layer with 64 filters, kernel size (5, 5) and ReLU activation.
    x = layers.Conv2D(64, (5, 5), activation="relu")(inputs)  # (batch, 44, 44, 64)
    # END SOLUTION

    # BEGIN SOLUTION 2c: Add a MaxPooling2D layer with pool size (5, 5) and strides (2, 2).
    x = layers.MaxPooling2D(pool_size=(5, 5), strides=(2, 2))(x)  # (batch, 20, 20, 64)
    # END SOLUTION

    # BEGIN SOLUTION 2d: Add a Flatten layer.
    x = layers.Flatten()(x)  # (batch, 25600)
    # END SOLUTION

    # BEGIN SOLUTION 2e: Add a Dense layer with 1024 units and ReLU activation.
    x = layers.Dense(1024, activation="relu")(x)
    # END SOLUTION

    # BEGIN SOLUTION 2f: Add the last Dense layer: 7 units, one per emotion, with softmax activation.
    outputs = layers.Dense(NUM_CLASSES, activation="softmax")(x)
    # END SOLUTION

    # BEGIN SOLUTION 3b: Make the model, and compile it with categorical cross-entropy, Adam and the accuracy metric.
    model = keras.Model(inputs, outputs, name="model_1")
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"])
    # END SOLUTION
    return model


# --- Step 3: training ------------------------------------------------------------------------------------------------


def train(model, x_train, y_train, x_val, y_val, epochs=5, batch_size=256):
    """Trains a compiled model (steps 3a and 3c).

    The 2019 course batched with `ImageDataGenerator.flow` and trained with `fit_generator`. Neither exists any more:
    `tf.data` batches, `model.fit` takes the batches, and augmentation is done by layers such as
    `keras.layers.RandomFlip` at the front of a model. Batches from `tf.data` are shuffled by `.shuffle`; give `fit`
    shuffle=False with them, or Keras warns that it cannot shuffle them once more.

    Args:
        model: compiled `keras.Model` with 7 outputs.
        x_train: float32 pictures `(n, 48, 48, 1)` in [0, 1].
        y_train: float32 one-hot labels `(n, 7)`.
        x_val: pictures to measure progress on; never trained on.
        y_val: their one-hot labels.
        epochs: int, passes over the training pictures.
        batch_size: int, pictures per gradient step.

    Returns:
        `keras.callbacks.History`, with one value per epoch for each loss and metric.
    """
    # BEGIN SOLUTION 3a: Batch the training pictures, in random order, and the validation pictures.
    train_batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(len(x_train)).batch(batch_size)
    val_batches = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(batch_size)
    # END SOLUTION

    # BEGIN SOLUTION 3c: Train the model for `epochs` epochs, measuring the validation pictures after each.
    # shuffle=False: the batches are in random order already, a new one in each epoch.
    history = model.fit(train_batches.prefetch(2), validation_data=val_batches, epochs=epochs, shuffle=False)
    # END SOLUTION
    return history


# --- Step 4: your own network ----------------------------------------------------------------------------------------


def make_model_2(num_steps=3375):
    """Builds and compiles a better network (step 4).

    Args:
        num_steps: int, gradient steps that training will take; for a learning-rate schedule, if you want one.

    Returns:
        compiled `keras.Model`: pictures `(batch, 48, 48, 1)` → probabilities `(batch, 7)`.
    """
    # BEGIN SOLUTION 4: Build and compile a network that is clearly more accurate than model_1.
    # Small 3×3 convolutions with batch normalisation see more, with a hundredth of model_1's weights; random flips and
    # shifts make new pictures out of old ones; the learning rate rises, then falls to nothing (one cycle).
    inputs = keras.Input(shape=IMAGE_SHAPE)
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomTranslation(4 / 48, 4 / 48, fill_mode="nearest")(x)  # 4 pixels
    x = layers.Rescaling(4.0, offset=-2.0)(x)  # FER-2013's pictures then have about mean 0 and deviation 1
    for stage, filters in enumerate([(16,), (32, 64), (64, 128), (128,)]):
        if stage > 0:
            x = layers.MaxPooling2D()(x)  # 48 → 24 → 12 → 6
        for num_filters in filters:
            x = layers.Conv2D(num_filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])  # (batch, 256)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(NUM_CLASSES, activation="softmax")(x)
    model = keras.Model(inputs, outputs, name="model_2")

    num_warmup_steps = num_steps // 4
    learning_rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=2e-4,
        warmup_target=4e-3,
        warmup_steps=num_warmup_steps,
        decay_steps=num_steps - num_warmup_steps,
    )
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        optimizer=keras.optimizers.AdamW(learning_rate, weight_decay=0.02),
        metrics=["accuracy"],
    )
    # END SOLUTION
    return model


# --- Everything together ---------------------------------------------------------------------------------------------


def main():
    """Loads the data, trains both networks, saves and reports them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=count, help="passes over the training pictures (default: the handout's)")
    parser.add_argument("--limit", type=count, help="use only the first LIMIT pictures of each split")
    parser.add_argument("--data", help="a csv in FER-2013's format")
    parser.add_argument("--seed", type=int, help="start the random numbers here (default: seed.json, or a new one)")
    parser.add_argument("--only", choices=["model_1", "model_2"], help="train only this network")
    arguments = parser.parse_args()

    csv_path, description = find_fer2013(arguments.data)
    print(description)
    keras.utils.set_random_seed(choose_seed(arguments.seed))

    # Three splits, three purposes: Training to learn, PublicTest to choose between networks, PrivateTest to report.
    fer = load_fer2013(csv_path, limit=arguments.limit)
    splits = {}
    for usage in ("Training", "PublicTest", "PrivateTest"):
        pixel_strings, labels = fer.split(usage)
        splits[usage] = prepare_images(pixel_strings), keras.utils.to_categorical(labels, NUM_CLASSES)
    x_train, y_train = splits["Training"]
    x_val, y_val = splits["PublicTest"]

    if arguments.only != "model_2":
        model_1 = make_model_1()
        epochs = arguments.epochs or MODEL_1_EPOCHS
        history = train(model_1, x_train, y_train, x_val, y_val, epochs, MODEL_1_BATCH_SIZE)
        # Without the optimizer's state the file has 105 MB instead of 315.
        model_1.save("model_1.h5", include_optimizer=False)
        report_training(model_1, "model_1.h5", history, splits)

    if arguments.only != "model_1":
        epochs = arguments.epochs or MODEL_2_EPOCHS
        model_2 = make_model_2(num_steps=epochs * math.ceil(len(x_train) / MODEL_2_BATCH_SIZE))
        history = train(model_2, x_train, y_train, x_val, y_val, epochs, MODEL_2_BATCH_SIZE)
        model_2.save("model_2.h5", include_optimizer=False)
        plot_architecture(model_2, "model_2_architecture.png")
        report_training(model_2, "model_2.h5", history, splits)


if __name__ == "__main__":
    run_script(main)
