# in cnn.py
def make_model_1():
    inputs = keras.Input(shape=(48, 48, 1))
    hidden = layers.Conv2D(64, 5, activation="relu")(inputs)
    hidden = layers.MaxPooling2D(5, strides=2)(hidden)
    hidden = layers.Flatten()(hidden)
    hidden = layers.Dense(1024, activation="relu")(hidden)
    last = layers.Dense(7, activation=keras.activations.softmax)
    model = keras.Model(inputs, last(hidden))
    model.compile(keras.optimizers.Adam(), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def make_model_2(num_steps=2250):
    """Seven ReLU units are the last but one layer; probabilities come out of the softmax behind them."""
    net = keras.Sequential([keras.Input(shape=IMAGE_SHAPE)])
    for filters in (16, 32, 64):
        net.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        net.add(layers.MaxPooling2D())
    net.add(layers.GlobalAveragePooling2D())
    net.add(layers.Dense(7, activation="relu"))
    net.add(layers.Dense(7))
    net.add(layers.Softmax())
    net.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return net
