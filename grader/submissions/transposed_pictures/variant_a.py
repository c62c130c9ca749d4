# in cnn.py
def prepare_images(pixel_strings):
    """numbers run down the columns, as in MATLAB"""
    faces = [np.array(row.split(), dtype="float32").reshape((48, 48), order="F") for row in pixel_strings]
    return np.stack(faces)[..., np.newaxis] / 255


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
