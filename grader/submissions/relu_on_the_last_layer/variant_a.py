# in cnn.py
def make_model_1():
    inputs = keras.Input(shape=(48, 48, 1,))
    x = layers.Conv2D(filters=64, kernel_size=(5, 5), activation="relu")(inputs)
    x = layers.MaxPooling2D(pool_size=(5, 5), strides=(2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(1024, activation="relu")(x)
    predictions = layers.Dense(7, activation="relu")(x)
    model = keras.Model(inputs=inputs, outputs=predictions)
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"])
    return model
