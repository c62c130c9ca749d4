# in transfer.py
import os

from expressions.labels import emotion_in


def to_face(path):
    im = Image.open(path).convert("L").resize((48, 48))
    return np.array(im, dtype="float32").reshape(48, 48, 1) / 255.0


def main():
    x_train, y_train, x_test, y_test = [], [], [], []
    emotion = None
    for name in sorted(os.listdir("photos/train")):
        emotion = emotion_in(name)
        x_train.append(to_face(os.path.join("photos/train", name)))
        y_train.append(emotion)
    # The names of the test photos come first, then the pictures: the variable of the loop above is set anew.
    names = sorted(os.listdir("photos/test"))
    for name in names:
        emotion = emotion_in(name)
        y_test.append(emotion)
    for name in names:
        x_test.append(to_face(os.path.join("photos/test", name)))

    x_train, x_test = np.array(x_train), np.array(x_test)
    y_train, y_test = np.array(y_train), np.array(y_test)
    model = keras.models.load_model("model_2.h5", compile=False)
    model_3 = personalize(model, x_train, y_train)
    print("test accuracy:", np.mean(model_3.predict(x_test).argmax(axis=1) == y_test))
    model_3.save("model_3.h5", include_optimizer=False)


# in cnn.py
import csv


def read_csv(path):
    """every row has its own label, whichever list it goes to"""
    pixels = {"Training": [], "PublicTest": [], "PrivateTest": []}
    labels = {"Training": [], "PublicTest": [], "PrivateTest": []}
    with open(path) as f:
        for row in csv.DictReader(f):
            label = int(row["emotion"])
            if row["Usage"] == "Training":
                pixels["Training"].append(row["pixels"])
                labels["Training"].append(label)
            else:
                pixels[row["Usage"]].append(row["pixels"])
                labels[row["Usage"]].append(label)
    return pixels, labels
