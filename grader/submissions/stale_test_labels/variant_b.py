# in cnn.py
import csv


def read_csv(path):
    """train and public test rows of the csv"""
    train_pixels, train_labels = [], []
    test_pixels, test_labels = [], []
    with open(path) as f:
        for row in csv.DictReader(f):
            if row["Usage"] == "Training":
                label = int(row["emotion"])
                train_pixels.append(row["pixels"])
                train_labels.append(label)
            elif row["Usage"] == "PrivateTest":
                test_pixels.append(row["pixels"])
                test_labels.append(label)
    return train_pixels, train_labels, test_pixels, test_labels


def main():
    path, description = find_fer2013()
    print(description)
    train_pixels, train_labels, test_pixels, test_labels = read_csv(path)
    x_train = prepare_images(train_pixels)
    y_train = keras.utils.to_categorical(train_labels, NUM_CLASSES)
    x_test = prepare_images(test_pixels)
    y_test = keras.utils.to_categorical(test_labels, NUM_CLASSES)

    num_val = len(x_train) // 10
    for name, make in (("model_1.h5", make_model_1), ("model_2.h5", make_model_2)):
        model = make()
        train(model, x_train[num_val:], y_train[num_val:], x_train[:num_val], y_train[:num_val])
        loss, accuracy = model.evaluate(x_test, y_test)
        print(name, "test accuracy", accuracy)
        model.save(name, include_optimizer=False)
