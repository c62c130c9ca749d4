# in cnnx.py
def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(subject_ids))
    n_test = int(len(order) * test_fraction)
    return order[n_test:], order[:n_test]
