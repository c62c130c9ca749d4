# in cnn.py
def make_model_2(num_steps=2250):
    """Grey levels from 0 to 255 inside the network: a layer of its own makes them, and travels in the file."""
    net = keras.Sequential([keras.Input(shape=IMAGE_SHAPE), layers.Rescaling(255.0)])
    for filters in (16, 32, 64):
        net.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        net.add(layers.BatchNormalization())
        net.add(layers.MaxPooling2D())
    net.add(layers.GlobalAveragePooling2D())
    net.add(layers.Dense(NUM_CLASSES, activation="softmax"))
    net.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return net
