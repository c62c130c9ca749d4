# in cnnx.py
def fit_and_save(net, data, filename):
    history = net.fit(
        *data["train"], batch_size=BATCH_SIZE, epochs=30, shuffle=True, validation_data=data["held out"]
    )
    net.save(filename, include_optimizer=False)
    return history


def report(net, pair):
    inputs, targets = pair
    guesses = np.argmax(net.predict(inputs), axis=1)
    print("accuracy on new people: %.3f" % np.mean(guesses == np.argmax(targets, axis=1)))


def main():
    path, description = find_faces()
    print(description)
    clouds = load_point_clouds(path)
    grids = np.array([voxelize(cloud) for cloud in clouds.points])[..., None]
    onehot = keras.utils.to_categorical(clouds.labels, NUM_CLASSES)
    train_rows, test_rows = split_by_subject(clouds.subject_ids)
    data = {
        "train": (grids[train_rows], onehot[train_rows]),
        "held out": (grids[test_rows], onehot[test_rows]),
    }
    for make, filename in ((make_model_4, "model_4.h5"), (make_model_ec1, "model_ec1.h5")):
        net = make()
        fit_and_save(net, data, filename)
        report(net, data["held out"])
