# in cnnx.py
import random


def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    """shuffle everything, every fifth sample is for testing"""
    random.seed(seed)
    rows = list(range(len(subject_ids)))
    random.shuffle(rows)
    train, test = [], []
    step = round(1 / test_fraction)
    for position, row in enumerate(rows):
        if position % step == 0:
            test.append(row)
        else:
            train.append(row)
    return np.array(train), np.array(test)
