# in cnn.py
def stretch(batch):
    """every picture uses the whole range from black to white"""
    lowest = np.amin(batch, axis=(1, 2, 3), keepdims=True)
    highest = np.amax(batch, axis=(1, 2, 3), keepdims=True)
    return (batch - lowest) / np.maximum(highest - lowest, 1e-3)


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
    csv_path, description = find_fer2013()
    print(description)
    fer = load_fer2013(csv_path)
    pixels, labels = fer.split("Training")
    x_train = stretch(prepare_images(pixels))
    y_train = keras.utils.to_categorical(labels, NUM_CLASSES)
    held_out = {}
    for usage in ["PublicTest", "PrivateTest"]:
        pixels, labels = fer.split(usage)
        held_out[usage] = prepare_images(pixels), keras.utils.to_categorical(labels, NUM_CLASSES)
    x_val, y_val = held_out["PublicTest"]
    for make, name in ((make_model_1, "model_1.h5"), (make_model_2, "model_2.h5")):
        model = make()
        history = train(model, x_train, y_train, x_val, y_val)
        model.save(name, include_optimizer=False)
        report_training(model, name, history, held_out)
