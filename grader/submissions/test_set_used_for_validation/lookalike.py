# in cnn.py
def main():
    csv_path, description = find_fer2013()
    print(description)
    fer = load_fer2013(csv_path)
    train_pixels, train_labels = fer.split("Training")
    public_pixels, public_labels = fer.split("PublicTest")
    test_pixels, test_labels = fer.split("PrivateTest")
    x_train, y_train = prepare_images(train_pixels), keras.utils.to_categorical(train_labels, 7)
    # Its name says test, but it is the set to choose by; PrivateTest is the one that is looked at once.
    x_public_test, y_public_test = prepare_images(public_pixels), keras.utils.to_categorical(public_labels, 7)
    x_test, y_test = prepare_images(test_pixels), keras.utils.to_categorical(test_labels, 7)
    for make, name in ((make_model_1, "model_1.h5"), (make_model_2, "model_2.h5")):
        model = make()
        train(model, x_train, y_train, x_public_test, y_public_test)
        print("validation", model.evaluate(x_public_test, y_public_test)[1])
        print("test", model.evaluate(x_test, y_test)[1])
        model.save(name, include_optimizer=False)


# in cnnx.py
def main():
    """Three groups of people: to learn from, to stop by, and to report."""
    path, description = find_faces()
    print(description)
    clouds = load_point_clouds(path)
    voxels = np.stack([voxelize(points) for points in clouds.points])[..., np.newaxis]
    targets = keras.utils.to_categorical(clouds.labels, NUM_CLASSES)
    rest, test = split_by_subject(clouds.subject_ids)
    inner_train, inner_test = split_by_subject(clouds.subject_ids[rest], 0.25, seed=1)
    train_rows, stop_rows = rest[inner_train], rest[inner_test]
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    for make, name in ((make_model_4, "model_4.h5"), (make_model_ec1, "model_ec1.h5")):
        model = make()
        model.fit(
            voxels[train_rows], targets[train_rows], batch_size=BATCH_SIZE, epochs=40,
            validation_data=(voxels[stop_rows], targets[stop_rows]), callbacks=[stop],
        )
        print(model.evaluate(voxels[test], targets[test]))
        model.save(name, include_optimizer=False)
