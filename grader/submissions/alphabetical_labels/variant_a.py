# in cnn.py
from expressions.labels import EMOTIONS


def folder_numbers(labels):
    """one folder per emotion, numbered in the order that os.listdir gives"""
    names = [EMOTIONS[i] for i in labels]
    folders = sorted(set(names))
    return np.array([folders.index(name) for name in names])


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
    csv_path, description = find_fer2013(None)
    print(description)
    fer = load_fer2013(csv_path)
    data = {}
    for usage in ("Training", "PublicTest", "PrivateTest"):
        strings, labels = fer.split(usage)
        data[usage] = prepare_images(strings), keras.utils.to_categorical(folder_numbers(labels), NUM_CLASSES)
    for name, make in (("model_1", make_model_1), ("model_2", make_model_2)):
        model = make()
        history = train(model, *data["Training"], *data["PublicTest"])
        model.save(name + ".h5", include_optimizer=False)
        report_training(model, name + ".h5", history, data)
