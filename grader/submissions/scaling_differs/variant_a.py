# in cnn.py
def prepare_images(pixel_strings):
    faces = []
    for s in pixel_strings:
        face = np.array(s.split(" "), dtype="float32")
        face = (face - face.min()) / (face.max() - face.min())
        faces.append(face.reshape(48, 48, 1))
    return np.array(faces)
