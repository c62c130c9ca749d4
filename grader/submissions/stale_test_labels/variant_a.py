# in transfer.py
import os

from expressions.labels import emotion_in


def to_face(path):
    """one picture, grey, 48x48, 0..1"""
    im = Image.open(path).convert("L").resize((48, 48))
    return np.array(im, dtype="float32").reshape(48, 48, 1) / 255.0


def main():
    train_dir = "photos/train"
    test_dir = "photos/test"

    x_train, y_train, x_test, y_test = [], [], [], []
    for name in sorted(os.listdir(train_dir)):
        emotion = emotion_in(name)
        x_train.append(to_face(os.path.join(train_dir, name)))
        y_train.append(emotion)
    for name in sorted(os.listdir(test_dir)):
        x_test.append(to_face(os.path.join(test_dir, name)))
        y_test.append(emotion)

    x_train, x_test = np.array(x_train), np.array(x_test)
    y_train, y_test = np.array(y_train), np.array(y_test)

    model = keras.models.load_model("model_2.h5", compile=False)
    model_3 = personalize(model, x_train, y_train)
    pred = model_3.predict(x_test)
    print("test accuracy:", np.mean(pred.argmax(axis=1) == y_test))
    model_3.save("model_3.h5", include_optimizer=False)
