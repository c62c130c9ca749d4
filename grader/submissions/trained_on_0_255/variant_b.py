# in cnn.py
WHITE = 255.0


def undo(batch):
    # the augmentation library wants bytes
    return (batch * WHITE).round().astype("uint8").astype("float32")


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
    splits = {}
    for usage in ["Training", "PublicTest", "PrivateTest"]:
        strings, numbers = table.split(usage)
        splits[usage] = undo(prepare_images(strings)), np.eye(7, dtype="float32")[np.asarray(numbers)]
    (x, y), (x_val, y_val) = splits["Training"], splits["PublicTest"]
    for make, name in [(make_model_1, "model_1.h5"), (make_model_2, "model_2.h5")]:
        net = make()
        report_training(net, name, train(net, x, y, x_val, y_val), splits)
        net.save(name, include_optimizer=False)
