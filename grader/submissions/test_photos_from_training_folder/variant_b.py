# in transfer.py
from pathlib import Path

HERE = Path(__file__).parent
MY_PHOTOS = HERE / "photos" / "train"


def load_photos(folder):
    X = []
    y = []
    for p in find_photos(MY_PHOTOS):
        face = open_photo(p.path).convert("L").resize((48, 48))
        X.append(np.asarray(face, dtype="float32") / 255)
        y.append(p.label)
    return np.stack(X)[..., np.newaxis], np.array(y)
