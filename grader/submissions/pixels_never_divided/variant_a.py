# in cnn.py
def prepare_images(pixel_strings):
    images = [np.array(p.split(), dtype="float32") for p in pixel_strings]
    return np.array(images).reshape(-1, 48, 48, 1)
