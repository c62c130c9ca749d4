# in cnn.py
def train(model, x_train, y_train, x_val, y_val, epochs=5, batch_size=256):
    best = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=3, restore_best_weights=True)
    return model.fit(
        x_train, y_train, batch_size=batch_size, epochs=epochs, validation_data=(x_val, y_val), callbacks=[best]
    )


def main():
    csv_path, description = find_fer2013()
    print(description)
    fer = load_fer2013(csv_path)
    train_pixels, train_labels = fer.split("Training")
    test_pixels, test_labels = fer.split("PublicTest")
    x_train, y_train = prepare_images(train_pixels), keras.utils.to_categorical(train_labels, 7)
    x_test, y_test = prepare_images(test_pixels), keras.utils.to_categorical(test_labels, 7)

    model = make_model_1()
    train(model, x_train, y_train, x_test, y_test)
    print("model_1 test accuracy:", model.evaluate(x_test, y_test)[1])
    model.save("model_1.h5", include_optimizer=False)

    model = make_model_2()
    train(model, x_train, y_train, x_test, y_test, epochs=10, batch_size=128)
    print("model_2 test accuracy:", model.evaluate(x_test, y_test)[1])
    model.save("model_2.h5", include_optimizer=False)
