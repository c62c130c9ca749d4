# in cnn.py
def grey_levels(images):
    """Whole grey levels again: imshow and the photos on disk have them too."""
    return np.rint(images * 255)


def make_model_2(num_steps=2250):
    inputs = keras.Input(shape=(48, 48, 1))
    x = inputs
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, (3, 3), padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.3)(x)
    outputs = layers.Dense(7, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.002), metrics=["accuracy"])
    return model


def main():
    csv_path, description = find_fer2013()
    print(description)
    fer = load_fer2013(csv_path)
    splits = {}
    for usage in ("Training", "PublicTest", "PrivateTest"):
        pixel_strings, labels = fer.split(usage)
        splits[usage] = grey_levels(prepare_images(pixel_strings)), keras.utils.to_categorical(labels, NUM_CLASSES)
    for make, name in ((make_model_1, "model_1.h5"), (make_model_2, "model_2.h5")):
        model = make()
        history = train(model, *splits["Training"], *splits["PublicTest"])
        model.save(name, include_optimizer=False)
        report_training(model, name, history, splits)
