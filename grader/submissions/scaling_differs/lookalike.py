# in cnn.py
DARKEST, BRIGHTEST = 0.0, 255.0


def prepare_images(pixel_strings):
    """The formula of min-max scaling, with the limits of the file format instead of the picture's own."""
    faces = np.array([row.split() for row in pixel_strings], dtype="float32")
    faces = (faces - DARKEST) / (BRIGHTEST - DARKEST)
    return faces.reshape((len(faces), 48, 48, 1))


# in transfer.py
from expressions.plotting import plot_samples


def for_the_eye(image):
    """More contrast for the figure only; the network never sees it."""
    return (image - image.min()) / max(image.max() - image.min(), 1e-6)


def main():
    folder, description = find_photo_folders()
    print(description)
    x_train, y_train = load_photos(folder / "train")
    x_test, y_test = load_photos(folder / "test")
    plot_samples(np.array([for_the_eye(image) for image in x_train]), y_train, "my_photos.png")
    model_2 = keras.models.load_model("model_2.h5", compile=False)
    model_3 = personalize(model_2, x_train, y_train)
    print((model_3.predict(x_test).argmax(axis=1) == y_test).mean())
    model_3.save("model_3.h5", include_optimizer=False)
