"""Writes small networks with whichever Keras is installed, and what that Keras predicts with them.

    python make_old_models.py OUT LABEL [CASE ...]

`OUT/LABEL-CASE.h5` (and `.json` beside a weights-only file) holds random weights, `OUT/LABEL.npz` the inputs `x-CASE`
and the predictions `y-CASE`. README.md lists the versions that made the files here. The script itself runs on
Python 3.6 and Keras 1.2 as on today's; nothing of the kit is imported.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

try:
    import keras
except ImportError:
    from tensorflow import keras

VERSION = tuple(int(part) for part in keras.__version__.split("-")[0].split(".")[:2])
KERAS_1 = VERSION < (2, 0)
L = keras.layers
NUM_CLASSES = 7


def conv(filters, size, padding="valid", first=False, **options):
    """Makes a 2-D convolution in the words of this Keras."""
    if KERAS_1:
        for new, old in (("strides", "subsample"), ("use_bias", "bias"), ("data_format", "dim_ordering")):
            if new in options:
                options[old] = options.pop(new)
        if options.get("dim_ordering") == "channels_first":
            options["dim_ordering"] = "th"
        return L.Convolution2D(filters, size, size, border_mode=padding, **options)
    return L.Conv2D(filters, (size, size), padding=padding, **options)


def functional(inputs, outputs):
    """Makes a functional model."""
    model_class = keras.models.Model
    return model_class(input=inputs, output=outputs) if KERAS_1 else model_class(inputs, outputs)


def sequential(layers):
    """Makes a Sequential model."""
    model = keras.models.Sequential()
    for layer in layers:
        model.add(layer)
    return model


def plain():
    """Convolution, pooling, dense; the first layer states the input shape."""
    return sequential(
        [
            conv(4, 3, activation="relu", input_shape=(12, 12, 1)),
            L.MaxPooling2D((2, 2)),
            conv(3, 3, "same", activation="tanh"),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )


def first_dense():
    """A Sequential whose first Dense states the input shape."""
    return sequential([L.Dense(6, activation="relu", input_shape=(9,)), L.Dense(NUM_CLASSES), L.Activation("softmax")])


def separable():
    """Depthwise, separable and transposed convolutions."""
    layers = [conv(4, 3, input_shape=(12, 12, 1))]
    depthwise = getattr(L, "DepthwiseConv2D", None)
    if depthwise is None and not KERAS_1:
        from keras.applications.mobilenet import DepthwiseConv2D as depthwise  # a class of its own until 2.1.4
    if depthwise is not None:
        layers += [depthwise((3, 3), depth_multiplier=2, padding="same")]
    if KERAS_1:
        layers += [L.SeparableConvolution2D(5, 3, 3, border_mode="same", activation="relu")]
    else:
        layers += [L.SeparableConv2D(3, (3, 3), activation="relu"), L.Conv2DTranspose(2, (3, 3), strides=(2, 2))]
    return sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(NUM_CLASSES, activation="softmax")])


def recurrent():
    """LSTM, GRU, SimpleRNN, Bidirectional, with the defaults of their time."""
    layers = [L.LSTM(3, return_sequences=True, input_shape=(5, 4)), L.GRU(3, return_sequences=True)]
    bidirectional = getattr(L, "Bidirectional", None)
    if bidirectional is None:
        from keras.layers.wrappers import Bidirectional as bidirectional
    layers += [bidirectional(L.LSTM(2, return_sequences=True)), L.SimpleRNN(3), L.Dense(NUM_CLASSES)]
    return sequential([*layers, L.Activation("softmax")])


def normalized():
    """Batch normalisation in several forms."""
    options = {} if KERAS_1 else {"scale": False}
    return sequential(
        [
            conv(3, 3, use_bias=False, input_shape=(10, 10, 1)),
            L.BatchNormalization(),
            L.Activation("relu"),
            conv(3, 3),
            L.BatchNormalization(epsilon=1e-4, **options),
            L.Flatten(),
            L.Dense(6),
            L.BatchNormalization(),
            L.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )


def rectifiers():
    """Activations that are layers."""
    layers = [L.Dense(8, input_shape=(9,)), L.LeakyReLU(0.1), L.Dense(8), L.PReLU(), L.Dense(8), L.ELU(0.7)]
    if hasattr(L, "ThresholdedReLU"):
        layers += [L.Dense(8), L.ThresholdedReLU(0.2)]
    layers += [L.Dense(8), L.Activation("hard_sigmoid"), L.GaussianNoise(0.1), L.Dense(NUM_CLASSES)]
    return sequential([*layers, L.Activation("softmax")])


def merged():
    """Branches that meet again in every way."""
    inputs = L.Input(shape=(10, 10, 1))
    a, b = (conv(3, 3, "same", activation="relu")(inputs) for _ in range(2))
    if KERAS_1:
        join = [lambda parts, mode=mode: L.merge(parts, mode=mode) for mode in ("sum", "mul", "ave", "max", "concat")]
    else:
        join = [L.Add(), L.Multiply(), L.Average(), L.Maximum(), L.Concatenate()]
    x = join[0]([a, b])
    y = join[1]([x, b])
    z = join[4]([join[2]([x, y]), join[3]([a, y])])
    z = L.GlobalMaxPooling2D()(L.AveragePooling2D((2, 2))(z))
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(z))


def _base(channels=1):
    inputs = L.Input(shape=(10, 10, channels))
    x = L.BatchNormalization()(conv(3, 3, activation="relu")(inputs))
    return functional(inputs, L.Activation("relu")(L.BatchNormalization()(conv(2, 3)(x))))


def transfer():
    """Transfer learning: a frozen functional base inside a Sequential."""
    base = _base()
    for layer in base.layers[:3]:
        layer.trainable = False
    model = keras.models.Sequential()
    model.add(base)
    model.add(L.Flatten())
    model.add(L.Dense(NUM_CLASSES, activation="softmax"))
    if VERSION >= (3, 0):
        model.build((None, 10, 10, 1))
    return model


def transfer_functional():
    """Transfer learning as in the guides: a frozen base called inside a functional model."""
    base = _base(3)
    base.trainable = False
    inputs = L.Input(shape=(10, 10, 1))
    if KERAS_1:
        x = base(L.merge([inputs, inputs, inputs], mode="concat"))
    else:
        x = L.Concatenate()([inputs, inputs, inputs])
        x = base(x) if VERSION < (2, 4) else base(x, training=False)
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def nested_twice():
    """A model in a model in a model, and a model that is called twice."""
    inner = _base()
    middle_in = L.Input(shape=(10, 10, 1))
    middle = functional(middle_in, L.Dense(4, activation="tanh")(L.Flatten()(inner(middle_in))))
    inputs = L.Input(shape=(10, 10, 1))
    other = conv(1, 3, "same")(inputs)
    parts = [middle(inputs), middle(other)]
    x = L.merge(parts, mode="concat") if KERAS_1 else L.Concatenate()(parts)
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(x))


def shared():
    """One layer called three times, a nested Sequential, two of them in a row."""
    dense = L.Dense(9, activation="tanh")
    inputs = L.Input(shape=(9,))
    x = dense(dense(dense(inputs)))
    x = sequential([L.Dense(5, activation="relu", input_shape=(9,)), L.Dense(9)])(x)
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(x))


def arithmetic():
    """Arithmetic between layers, as in MobileNet's preprocessing."""
    inputs = L.Input(shape=(9,))
    x = L.Dense(5, activation="relu")(1.0 - (inputs * 2.0 - 1.0) / 3.0)
    y = L.Dense(5)(x)
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(-(x + y) * y - 0.5 + 2.0 / (x + 1.0)))


def regression():
    """Compiled with mse and trained for a step, so that the optimizer is in the file."""
    model = sequential([L.Dense(4, input_shape=(9,)), L.Dense(NUM_CLASSES, activation="sigmoid")])
    model.compile(loss="mse", optimizer="sgd" if KERAS_1 else "adam", metrics=["mae"])
    model.fit(np.zeros((4, 9)), np.zeros((4, NUM_CLASSES)), verbose=0)
    return model


def channels_first():
    """Channels on the first axis, as under Theano."""
    ordering = {"dim_ordering": "th"} if KERAS_1 else {"data_format": "channels_first"}
    axis = {"axis": 1}
    return sequential(
        [
            conv(3, 3, "same", activation="relu", input_shape=(1, 12, 12), data_format="channels_first"),
            L.BatchNormalization(**axis),
            L.MaxPooling2D((2, 2), **ordering),
            L.ZeroPadding2D((1, 2), **ordering),
            conv(2, 3, data_format="channels_first"),
            L.UpSampling2D((2, 2), **ordering),
            L.Flatten(),
            L.Dense(6, activation="relu"),
            L.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )


def _preprocessing(name):
    found = getattr(L, name, None)
    return found or getattr(L.experimental.preprocessing, name)


def augmented():
    """Layers that act in training only, and scaling inside the network."""
    return sequential(
        [
            L.Input(shape=(12, 12, 1)),
            _preprocessing("Rescaling")(1 / 255.0),
            _preprocessing("RandomFlip")("horizontal"),
            _preprocessing("RandomRotation")(0.1),
            _preprocessing("RandomZoom")(0.1),
            _preprocessing("RandomContrast")(0.1),
            _preprocessing("RandomTranslation")(0.1, 0.1),
            _preprocessing("Resizing")(10, 10),
            conv(3, 3, activation="relu"),
            L.SpatialDropout2D(0.2),
            L.GlobalAveragePooling2D(),
            L.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )


def mini_xception():
    """Residual blocks of separable convolutions, after oarriaga's mini-Xception."""
    inputs = L.Input(shape=(12, 12, 1))
    x = L.Activation("relu")(L.BatchNormalization()(conv(3, 3, use_bias=False)(inputs)))
    residual = L.BatchNormalization()(conv(4, 1, "same", strides=(2, 2), use_bias=False)(x))
    for number in range(2):
        x = L.SeparableConv2D(4, (3, 3), padding="same", use_bias=False)(x)
        x = L.BatchNormalization()(x)
        x = L.Activation("relu")(x) if not number else x
    x = L.Add()([L.MaxPooling2D((3, 3), strides=(2, 2), padding="same")(x), residual])
    x = L.GlobalAveragePooling2D()(conv(NUM_CLASSES, 3, "same")(x))
    return functional(inputs, L.Activation("softmax", name="predictions")(x))


def mobilenet():
    """Depthwise blocks with ReLU6, under the names of their time."""
    if VERSION < (2, 2):
        from keras.applications.mobilenet import DepthwiseConv2D, relu6

        bounded = lambda: L.Activation(relu6)  # noqa: E731
    else:
        DepthwiseConv2D = L.DepthwiseConv2D
        bounded = lambda: L.ReLU(6.0)  # noqa: E731
    layers = [L.ZeroPadding2D(((0, 1), (0, 1)), input_shape=(12, 12, 1)), conv(3, 3, strides=(2, 2)), bounded()]
    layers += [DepthwiseConv2D((3, 3), padding="same", use_bias=False), L.BatchNormalization(), bounded()]
    layers += [conv(5, 1), bounded(), L.GlobalAveragePooling2D(), L.Reshape((1, 1, 5)), L.Dropout(1e-3)]
    return sequential([*layers, conv(NUM_CLASSES, 1), L.Reshape((NUM_CLASSES,)), L.Activation("softmax")])


def voxels():
    """3-D and 1-D convolutions, cropping, permuting."""
    if KERAS_1:
        layers = [
            L.Convolution3D(2, 3, 3, 3, activation="relu", input_shape=(8, 8, 8, 1), dim_ordering="tf"),
            L.MaxPooling3D((2, 2, 2), dim_ordering="tf"),
            L.Reshape((9, 6)),
            L.Convolution1D(4, 3, border_mode="same", subsample_length=1),
            L.MaxPooling1D(2),
        ]
    else:
        layers = [
            L.Conv3D(2, (3, 3, 3), activation="relu", input_shape=(8, 8, 8, 1)),
            L.MaxPooling3D((2, 2, 2)),
            L.Reshape((9, 6)),
            L.Conv1D(4, 3, padding="causal", dilation_rate=2),
            L.MaxPooling1D(2),
        ]
    layers += [L.Permute((2, 1)), L.Flatten(), L.Dense(NUM_CLASSES, activation="softmax")]
    return sequential(layers)


def spatial():
    """Atrous convolution, padding, cropping, up-sampling, TimeDistributed."""
    if KERAS_1:
        layers = [
            L.AtrousConvolution2D(3, 3, 3, atrous_rate=(2, 2), input_shape=(12, 12, 1)),
            L.ZeroPadding2D((1, 2)),
            L.Cropping2D(((1, 0), (0, 1))),
            L.UpSampling2D((2, 2)),
            L.AveragePooling2D((2, 2), strides=(1, 1)),
        ]
        from keras.layers.wrappers import TimeDistributed
    else:
        layers = [
            L.Conv2D(3, 3, dilation_rate=2, input_shape=(12, 12, 1)),
            L.ZeroPadding2D((1, 2)),
            L.Cropping2D(((1, 0), (0, 1))),
            L.UpSampling2D((2, 2)),
            L.AveragePooling2D((2, 2), strides=(1, 1), padding="same"),
        ]
        TimeDistributed = L.TimeDistributed
    layers += [TimeDistributed(L.Dense(2, activation="relu")), TimeDistributed(L.Flatten())]
    layers += [L.GlobalAveragePooling1D(), L.Dense(NUM_CLASSES, activation="softmax")]
    return sequential(layers)


def attention():
    """Attention and layer normalisation."""
    inputs = L.Input(shape=(6, 6, 1))
    x = L.Reshape((9, 4))(inputs)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 3)(x, x))
    x = L.Attention()([x, x])
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(L.GlobalAveragePooling1D()(x)))


def squeeze():
    """Squeeze-and-excitation with swish, as in EfficientNet."""
    inputs = L.Input(shape=(10, 10, 1))
    x = conv(4, 3, activation="swish")(inputs)
    gate = L.Reshape((1, 1, 4))(L.GlobalAveragePooling2D()(x))
    gate = conv(4, 1, activation="sigmoid")(conv(2, 1, activation=keras.activations.swish)(gate))
    x = L.Activation("gelu")(L.multiply([x, gate]))
    return functional(inputs, L.Dense(NUM_CLASSES, activation="softmax")(L.Flatten()(x)))


def half_precision():
    """A network with a policy of mixed precision."""
    policy = "mixed_bfloat16"
    if VERSION < (2, 11):
        policy = keras.mixed_precision.Policy(policy)
    return sequential(
        [L.Dense(6, activation="relu", input_shape=(9,), dtype=policy), L.Dense(NUM_CLASSES, dtype="float32")]
    )


CASES = {
    "plain": (plain, (1, 0)),
    "first_dense": (first_dense, (1, 0)),
    "separable": (separable, (1, 0)),
    "recurrent": (recurrent, (1, 0)),
    "normalized": (normalized, (1, 0)),
    "rectifiers": (rectifiers, (1, 0)),
    "merged": (merged, (1, 0)),
    "transfer": (transfer, (1, 0)),
    "transfer_functional": (transfer_functional, (1, 0)),
    "nested_twice": (nested_twice, (1, 0)),
    "shared": (shared, (1, 0)),
    "arithmetic": (arithmetic, (2, 4)),
    "regression": (regression, (1, 0)),
    "channels_first": (channels_first, (1, 0)),
    "augmented": (augmented, (2, 4)),
    "mini_xception": (mini_xception, (2, 0)),
    "mobilenet": (mobilenet, (2, 0)),
    "voxels": (voxels, (1, 0)),
    "spatial": (spatial, (1, 0)),
    "attention": (attention, (2, 4)),
    "squeeze": (squeeze, (2, 4)),
    "half_precision": (half_precision, (2, 4)),
    "weights_only": (mini_xception, (2, 0)),
}


def randomize(model, random):
    """Gives every weight a value that shows when it is misplaced; variances stay positive."""
    values = []
    for weight in model.get_weights():
        if weight.dtype.kind != "f":
            values.append(weight)  # the state of a random generator
            continue
        value = random.normal(0, 0.4, weight.shape)
        values.append((np.abs(value) + 0.3 if weight.ndim == 1 else value).astype(weight.dtype))
    model.set_weights(values)


def main():
    """Writes the cases that the command line names, or all that this Keras knows."""
    out, label = sys.argv[1:3]
    names = sys.argv[3:] or list(CASES)
    arrays = {}
    for number, name in enumerate(names):
        make, since = CASES[name]
        if VERSION < since:
            continue
        random = np.random.RandomState(number)
        if hasattr(keras.backend, "clear_session"):
            keras.backend.clear_session()
        try:
            model = make()
            randomize(model, random)
            shape = model.input_shape[1:]
            x = random.uniform(0, 1, (3,) + tuple(shape)).astype("float32")
            arrays[f"x-{name}"], arrays[f"y-{name}"] = x, np.asarray(model.predict(x), "float32")
            path = os.path.join(out, f"{label}-{name}.h5")
            if name == "weights_only":
                model.save_weights(path if VERSION < (3, 0) else path.replace(".h5", ".weights.h5"))
                with open(path[:-3] + ".json", "w") as file:
                    file.write(model.to_json())
            else:
                if VERSION >= (3, 0):
                    model.save(path[:-3] + ".keras")
                model.save(path)
        except Exception as error:  # an old Keras may not know a case; the README says what there is
            print(f"{name}: not made: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            half = os.path.join(out, f"{label}-{name}.h5")
            if os.path.exists(half):
                os.remove(half)
    np.savez(os.path.join(out, f"{label}.npz"), **arrays)
    print(f"{label}: Keras {keras.__version__}, {len(arrays) // 2} networks")


if __name__ == "__main__":
    main()
