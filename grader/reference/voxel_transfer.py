"""Trains the reference's voxel network on given clouds and reads others with it. Run by `grader/reality/transfer.py`.

    python grader/reference/voxel_transfer.py job.npz answer.npz

The job holds `train` `(n, num_points, 3)`, `labels` `(n,)`, `seed`, `epochs` and arrays named `test …`; the answer
holds the probabilities `(m, 7)` of each of those.
"""

import sys

import keras
import numpy as np

import cnnx
from expressions.labels import NUM_CLASSES


def to_voxels(clouds):
    """Returns counts `(n, 24, 24, 24, 1)` of clouds `(n, num_points, 3)`."""
    return np.stack([cnnx.voxelize(points) for points in clouds])[..., np.newaxis]


def main(job_path, answer_path):
    """Does one job."""
    with np.load(job_path, allow_pickle=False) as job:
        keras.utils.set_random_seed(int(job["seed"]))
        model = cnnx.make_model_4()
        targets = keras.utils.to_categorical(job["labels"], NUM_CLASSES)
        model.fit(to_voxels(job["train"]), targets, batch_size=cnnx.BATCH_SIZE, epochs=int(job["epochs"]), verbose=0)
        tests = [name for name in job.files if name.startswith("test ")]
        np.savez(answer_path, **{name: model.predict(to_voxels(job[name]), verbose=0) for name in tests})


if __name__ == "__main__":
    main(*sys.argv[1:])
