# in cnn.py
CODES = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "neutral": 4, "sadness": 5, "surprise": 6}
FER_NAMES = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def encode(emotion_column):
    encoded = []
    for number in emotion_column:
        encoded.append(CODES[FER_NAMES[int(number)]])
    return np.asarray(encoded, dtype="int64")


def make_model_2(num_steps=2250):
    net = keras.Sequential([keras.Input((48, 48, 1))])
    for width in [24, 48, 64]:
        net.add(layers.Conv2D(width, 3, activation="relu"))
        net.add(layers.BatchNormalization(momentum=0.9))
        net.add(layers.MaxPooling2D(2))
    net.add(layers.Flatten())
    net.add(layers.Dense(7, activation="softmax"))
    net.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return net


def main():
    path, what = find_fer2013()
    print(what)
    table = load_fer2013(path)
    splits = {
        usage: (prepare_images(table.split(usage)[0]), np.eye(7, dtype="float32")[encode(table.split(usage)[1])])
        for usage in ["Training", "PublicTest", "PrivateTest"]
    }
    (x, y), (x_val, y_val) = splits["Training"], splits["PublicTest"]
    first, second = make_model_1(), make_model_2()
    report_training(first, "model_1.h5", train(first, x, y, x_val, y_val), splits)
    report_training(second, "model_2.h5", train(second, x, y, x_val, y_val, 20, 64), splits)
    first.save("model_1.h5", include_optimizer=False)
    second.save("model_2.h5", include_optimizer=False)
