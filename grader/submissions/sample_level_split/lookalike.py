# in cnnx.py
import random


def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    """Shuffles people, then goes through the rows."""
    people = sorted(set(subject_ids))
    random.Random(seed).shuffle(people)
    held_out = people[: max(1, round(len(people) * test_fraction))]
    train, test = [], []
    for row, person in enumerate(subject_ids):
        if person in held_out:
            test.append(row)
        else:
            train.append(row)
    # The order of the rows is random too, which changes nobody's side.
    rng = np.random.default_rng(seed)
    return rng.permutation(train), rng.permutation(test)
