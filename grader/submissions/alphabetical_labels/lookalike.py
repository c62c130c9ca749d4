# in cnn.py
from expressions.labels import EMOTIONS


def count_by_name(labels):
    """The alphabet orders the lines on the screen; the network's labels stay those of the csv."""
    counts = {name: int((np.asarray(labels) == number).sum()) for number, name in enumerate(EMOTIONS)}
    return [f"{name:9} {counts[name]:6}" for name in sorted(counts)]


def main():
    csv_path, description = find_fer2013()
    print(description)
    fer = load_fer2013(csv_path)
    splits = {}
    for usage in ("Training", "PublicTest", "PrivateTest"):
        pixel_strings, labels = fer.split(usage)
        print("\n".join([usage, *count_by_name(labels)]))
        splits[usage] = prepare_images(pixel_strings), keras.utils.to_categorical(labels, NUM_CLASSES)
    x_train, y_train = splits["Training"]
    x_val, y_val = splits["PublicTest"]
    for make, name in ((make_model_1, "model_1.h5"), (make_model_2, "model_2.h5")):
        model = make()
        history = train(model, x_train, y_train, x_val, y_val)
        model.save(name, include_optimizer=False)
        report_training(model, name, history, splits)
