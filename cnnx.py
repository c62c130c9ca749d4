"""Task 3: a 3-D convolutional network on point clouds of faces (handout section 5).

    python cnnx.py                          trains on the point clouds and saves model_4.h5 and model_ec1.h5
    python cnnx.py --limit 10 --epochs 2    the same with ten subjects, to see whether everything runs

Look at the clouds first: python show_gui.py. Then write voxelize (10), make_model_4 (11) and split_by_subject (12), and
use them in main (12, 13); this time it is all yours, the bounds of the grid too. When all TODOs are done you see a
progress bar per epoch, then one line per network with its accuracy on subjects that it has never seen. Chance is 14 %.
With the synthetic class both networks take about a minute on 2 cores.
"""

import argparse

import keras
import numpy as np
from keras import layers

from expressions.command_line import count, run_script
from expressions.datasets import find_faces
from expressions.labels import NUM_CLASSES
from expressions.plotting import plot_architecture
from expressions.point_clouds import load_point_clouds
from expressions.seeds import choose_seed
from expressions.training_report import report_training

GRID_SIZE = 24
TEST_FRACTION = 0.2
BATCH_SIZE = 32
MODEL_4_EPOCHS = 30
MODEL_EC1_EPOCHS = 10


# --- Step 10: from points to voxels ----------------------------------------------------------------------------------


def voxelize(points, size=GRID_SIZE):
    """Counts the points that fall into each cell of a cubic grid (step 10).

    Args:
        points: float array of shape `(n, 3)`: x, y, z in metres, in ARKit's face frame.
        size: int, cells along each axis.

    Returns:
        array of shape `(size, size, size)`, indexed `[x, y, z]`; its sum is n.
    """
    # TODO(10): Start with a grid of zeros, and add 1 to the cell of every point.
    raise NotImplementedError("10: Start with a grid of zeros, and add 1 to the cell of every point.")
    return grid


# --- Step 11: the network --------------------------------------------------------------------------------------------


def make_model_4():
    """Builds and compiles a 3-D convolutional network (step 11).

    Returns:
        compiled `keras.Model`: counts `(batch, 24, 24, 24, 1)` → probabilities `(batch, 7)`.
    """
    # TODO(11): Build and compile a network with Conv3D and MaxPool3D layers.
    raise NotImplementedError("11: Build and compile a network with Conv3D and MaxPool3D layers.")
    return model


# --- Step 12: training and testing -----------------------------------------------------------------------------------


def split_by_subject(subject_ids, test_fraction=TEST_FRACTION, seed=0):
    """Splits clouds into training and test, so that nobody is in both (step 12).

    Args:
        subject_ids: sequence of n ids, one per cloud; a subject has several clouds.
        test_fraction: float between 0 and 1, the share of subjects to test on.
        seed: int, which subjects those are.

    Returns:
        train_rows, test_rows: two int arrays that hold every row 0 … n − 1 once.
    """
    # TODO(12): Choose whole subjects for the test, never single clouds.
    raise NotImplementedError("12: Choose whole subjects for the test, never single clouds.")
    return train_rows, test_rows


# --- Extra credit 1 --------------------------------------------------------------------------------------------------


def make_model_ec1():
    """Builds and compiles a network that reaches 42 % on unseen subjects (extra credit 1).

    Returns:
        compiled `keras.Model`, shapes as `make_model_4`.
    """
    # TODO(EC1): Improve the network until it is right for at least 42 % of the test clouds.
    raise NotImplementedError("EC1: Improve the network until it is right for at least 42 % of the test clouds.")
    return model


def vary_clouds(points, num_copies=7, seed=0):
    """Makes more clouds out of few, for training: mirrored, shifted by about 2 mm, scaled by about 2 %.

    Args:
        points: float array of shape `(num_clouds, n, 3)`, metres.
        num_copies: int, new clouds for each given one.
        seed: int.

    Returns:
        float array of shape `(num_copies * num_clouds, n, 3)`, copy by copy in the order of the given clouds.
    """
    # TODO(EC1): Return changed copies of the clouds that a person could still read.
    raise NotImplementedError("EC1: Return changed copies of the clouds that a person could still read.")
    return varied


def train_model_ec1(train_points, splits, epochs):
    """Trains, saves and reports the network for extra credit 1.

    Args:
        train_points: float array of shape `(n, num_points, 3)`: the clouds that model_4 was trained on.
        splits: dict with `"Training"` and `"unseen subjects"`, each `(voxels, one-hot labels)`.
        epochs: int, passes over the training clouds.
    """
    # TODO(EC1): Train your better network, save it as model_ec1.h5 and report its accuracy.
    raise NotImplementedError("EC1: Train your better network, save it as model_ec1.h5 and report its accuracy.")


# --- Everything together ---------------------------------------------------------------------------------------------


def main():
    """Loads the clouds, splits them by subject, trains, tests and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=count, help="passes over the training clouds (default: yours)")
    parser.add_argument("--limit", type=count, help="use only the clouds of the first LIMIT subjects")
    parser.add_argument("--data", help="a faces.py, or an npz with points, labels and subject_ids")
    parser.add_argument("--seed", type=int, help="start the random numbers here (default: seed.json, or a new one)")
    arguments = parser.parse_args()

    faces_path, description = find_faces(arguments.data)
    print(description)
    keras.utils.set_random_seed(choose_seed(arguments.seed))
    clouds = load_point_clouds(faces_path)
    if arguments.limit is not None:
        clouds = clouds.first_subjects(arguments.limit)
    print(f"{len(clouds.points)} clouds of {len(np.unique(clouds.subject_ids))} subjects")

    # Below, these names are used: train_rows, x_train, y_train, x_test, y_test (labels one-hot), model_4 and history.
    # TODO(12): Voxelize the clouds, split them by subject, train, and report accuracy and loss.
    raise NotImplementedError("12: Voxelize the clouds, split them by subject, train, and report accuracy and loss.")

    # TODO(13): Save your network as model_4.h5.
    raise NotImplementedError("13: Save your network as model_4.h5.")
    splits = {"Training": (x_train, y_train), "unseen subjects": (x_test, y_test)}
    plot_architecture(model_4, "model_4_architecture.png")
    report_training(model_4, "model_4.h5", history, splits)

    try:
        train_model_ec1(clouds.points[train_rows], splits, arguments.epochs or MODEL_EC1_EPOCHS)
    except NotImplementedError as todo:
        print(f"Extra credit, if you like: {todo}")


if __name__ == "__main__":
    run_script(main)
