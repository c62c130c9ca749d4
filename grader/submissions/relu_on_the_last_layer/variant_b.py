# in cnn.py
ACTIVATION = "relu"


def dense_part(net, widths):
    for n in widths:
        net.add(layers.Dense(n))
        net.add(layers.Activation(ACTIVATION))


def make_model_2(num_steps=2250):
    """Three conv blocks and two dense layers."""
    net = keras.Sequential()
    net.add(keras.Input(shape=IMAGE_SHAPE))
    for filters in [16, 32, 64]:
        net.add(layers.Conv2D(filters, 3, padding="same", activation=ACTIVATION))
        net.add(layers.MaxPooling2D())
    net.add(layers.Flatten())
    dense_part(net, [128, NUM_CLASSES])
    net.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return net
