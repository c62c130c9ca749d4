# in transfer.py
def main():
    folder, description = find_photo_folders()
    print(description)

    # training photos
    x_train, y_train = load_photos(folder / "train")
    model_2 = keras.models.load_model("model_2.h5", compile=False)
    model_3 = personalize(model_2, x_train, y_train)

    # test photos
    x, y = load_photos(folder / "train")
    predictions = model_3.predict(x)
    for image, label, prediction in zip(x, y, predictions):
        plot_emotion_prediction(prediction, image=image, path=f"photo_{EMOTIONS[label]}.png")
    print("accuracy on my photos:", (predictions.argmax(axis=1) == y).mean())
    model_3.save("model_3.h5", include_optimizer=False)
