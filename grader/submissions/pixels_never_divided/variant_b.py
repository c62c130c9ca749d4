# in cnn.py
def prepare_images(pixel_strings):
    x = np.zeros((len(pixel_strings), 2304), dtype=np.float32)
    for i in range(len(pixel_strings)):
        values = pixel_strings[i].split(" ")
        x[i] = [float(v) for v in values]
    # normalize
    x / 255.0
    x = np.reshape(x, (x.shape[0], 48, 48, 1))
    return x
