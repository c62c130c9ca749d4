"""A random seed for each student, kept beside the models that came from it."""

import json
import secrets
from pathlib import Path

from expressions.errors import DataError


def choose_seed(seed=None, path="seed.json"):
    """Returns the seed to train with, and keeps it for the next run.

    The first run draws one, so that no two people start from the same weights; later runs find it in the file, so
    that a result can be repeated.

    Args:
        seed: int or `None`; a seed that you choose takes the place of the recorded one.
        path: where the seed is kept.

    Returns:
        int in 0 … 2³² − 1.

    Raises:
        DataError: the file holds no seed.
    """
    path = Path(path)
    if seed is None and path.exists():
        try:
            seed = int(json.loads(path.read_text(encoding="utf-8"))["seed"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} holds no seed ({type(error).__name__}).", 'one line such as {"seed": 6835}', "delete the file"
            ) from error
        print(f"Seed {seed}, from {path}.")
    else:
        chosen = seed is not None
        seed = seed if chosen else secrets.randbelow(2**32)
        try:
            path.write_text(json.dumps({"seed": seed}) + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{path} cannot be written: {error.strerror}.", "a folder that you may write to", "run the script there"
            ) from error
        print(f"Seed {seed}, {'chosen' if chosen else 'drawn for you'} and written to {path}.")
    return seed
