"""A folder of seven photos: what is found, and what is said if something is wrong."""

import io
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from expressions.errors import DataError
from expressions.labels import EMOTIONS
from expressions.photos import find_photos, open_photo


def picture(path, mode="RGB", size=(20, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    Image.new(mode, size).save(path, format=suffix, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Makes a folder with a picture under each name."""

    def make(*names):
        for name in names:
            picture(tmp_path / "photos" / name)
        return tmp_path / "photos"

    return make


SETS = {
    "plain": ("angry.png", "disgust.png", "fear.png", "happy.png", "sad.png", "surprise.png", "neutral.png"),
    "spelled otherwise": (
        "anger.jpg",
        "Disgusted.JPG",
        "SCARED.jpeg",
        "joy.png",
        "sadness.png",
        "surprised.PNG",
        "normal.png",
    ),
    "from a camera": (
        "IMG_2041 angry.jpg",
        "2_disgust.jpg",
        "fear (3).jpg",
        "me-happy-final.jpg",
        "SadFace.jpg",
        "05surprise05.jpg",
        "neutral.face.jpg",
    ),
    "suffix twice": tuple(f"{name.lower()}.jpg.png" for name in EMOTIONS),
    "no suffix": tuple(name.lower() for name in EMOTIONS),
    "JAFFE": tuple(
        f"KA.{code}1.{number}.jpg" for code, number in zip("AN DI FE HA SA SU NE".split(), range(7), strict=True)
    ),
    "folders": tuple(f"{name}/IMG_{number}.jpg" for number, name in enumerate(EMOTIONS)),
    "folders and names": ("angry/me.png", "disgust/me disgust.png", *(f"{name}.png" for name in EMOTIONS[2:])),
    "words that contain a code": ("an-angry-man.png", "so disgusted.png", *(f"{n} su.png" for n in EMOTIONS[2:])),
}


@pytest.mark.parametrize("name", SETS)
def test_seven_photos_are_found_in_the_order_of_the_labels(folder, name):
    photos = find_photos(folder(*SETS[name]))
    assert [photo.label for photo in photos] == list(range(7))
    found = [
        str(photo.path.relative_to(photo.path.parents[1 if "/" not in name_ else 2]))
        for photo, name_ in zip(photos, SETS[name], strict=True)
    ]
    assert [path.split("/", 1)[1] for path in found] == list(SETS[name])


def test_the_order_in_the_folder_does_not_matter(folder):
    names = tuple(f"{9 - label}_{name}.png" for label, name in enumerate(EMOTIONS))
    assert [photo.path.name for photo in find_photos(folder(*names))] == list(names)


def test_litter_of_operating_systems_and_notes_are_ignored(folder):
    path = folder(*SETS["plain"], "__MACOSX/._happy.png", ".thumbs/happy.png")
    for name in (".DS_Store", "._sad.png", "Thumbs.db", "desktop.ini", "notes.txt", ".gitkeep"):
        (path / name).write_text("litter")
    assert len(find_photos(path)) == 7


def test_a_missing_emotion_is_named_and_the_files_are_listed(folder):
    with pytest.raises(DataError, match="no picture of Fear and Neutral") as caught:
        find_photos(folder("angry.png", "disgust.png", "happy.png", "sad.png", "surprise.png"))
    assert "Found: angry.png, disgust.png, happy.png, sad.png, surprise.png." in caught.value.what
    assert "fear.jpg" in caught.value.try_


def test_a_doubled_emotion_is_named_with_its_files(folder):
    with pytest.raises(DataError, match=r"2 of Happy \(happy.png, joy/1.png\)"):
        find_photos(folder(*SETS["plain"], "joy/1.png"))


def test_a_name_without_an_emotion_is_offered_a_new_one(folder):
    with pytest.raises(DataError, match=r"no picture of Angry. .* Without an emotion in the name: IMG_1.png") as caught:
        find_photos(folder("IMG_1.png", *SETS["plain"][1:]))
    assert "rename IMG_1.png" in caught.value.try_ and "angry.png" in caught.value.try_


def test_an_eighth_picture_without_an_emotion_is_named(folder):
    with pytest.raises(DataError, match=r"IMG_1.png names no emotion"):
        find_photos(folder("IMG_1.png", *SETS["plain"]))


def test_a_name_with_two_emotions_is_refused(folder):
    with pytest.raises(DataError, match="speaks of two emotions"):
        find_photos(folder("sad_to_happy.png"))


def test_a_photo_named_otherwise_than_its_folder_is_refused(folder):
    with pytest.raises(DataError, match=r"is named Sad and lies in a folder named Happy"):
        find_photos(folder("happy/sad.png"))


def test_the_folder_above_train_and_test_says_which_to_name(folder):
    names = [f"{half}/{name}" for half in ("train", "test") for name in SETS["plain"]]
    with pytest.raises(DataError, match="2 of Angry") as caught:
        find_photos(folder(*names))
    assert "train" in caught.value.try_


def test_an_empty_a_missing_and_a_wrong_folder_are_explained(folder, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"no picture of Angry, Disgust, .* and Neutral. Found none"):
        find_photos(tmp_path / "photos")
    with pytest.raises(DataError, match="no folder"):
        find_photos(tmp_path / "foto")
    with pytest.raises(DataError, match="is a file"):
        find_photos(picture(tmp_path / "happy.png"))


OTHER_FORMATS = {
    "HEIC": b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + b"\0" * 40,
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + b"\0" * 40,
    "WebP": b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 40,
    "GIF": b"GIF89a" + b"\0" * 40,
    "BMP": b"BM" + b"\0" * 60,
    "TIFF": b"II*\0" + b"\0" * 60,
    "PDF": b"%PDF-1.7\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n",
    "a video": b"\0\0\0\x20ftypisom\0\0\0\0" + b"\0" * 40,
    "a web page": b"<!DOCTYPE html>",
    "an empty file": b"",
    "no picture": b"hello",
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".heic"])
def test_another_format_is_called_by_its_name_whatever_the_suffix_says(folder, name, suffix):
    path = folder(*SETS["plain"][1:]) / f"angry{suffix}"
    path.write_bytes(OTHER_FORMATS[name])
    for read in (lambda: find_photos(path.parent), lambda: open_photo(path)):
        with pytest.raises(DataError, match=name) as caught:
            read()
        assert str(path) in caught.value.what and caught.value.try_


def test_heic_gets_the_steps_for_a_phone(tmp_path):
    (tmp_path / "happy.jpg").write_bytes(OTHER_FORMATS["HEIC"])
    with pytest.raises(DataError) as caught:
        open_photo(tmp_path / "happy.jpg")
    assert "Most Compatible" in caught.value.try_


def test_the_content_decides_and_not_the_suffix(folder):
    path = folder(*SETS["plain"])
    picture(path / "x.jpeg").replace(path / "angry.png")
    assert len(find_photos(path)) == 7 and open_photo(path / "angry.png").size == (20, 30)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_that_is_cut_off_is_refused(folder, suffix):
    path = folder(*SETS["plain"][1:]) / f"angry{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    for part in (content[: len(content) // 2], content[:20]):
        path.write_bytes(part)
        for read in (lambda: find_photos(path.parent), lambda: open_photo(path)):
            with pytest.raises(DataError, match="cut off or damaged"):
                read()


def png_that_claims(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(12_000, 11_000), (100_000, 100_000)])
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, size):
    path = tmp_path / "happy.png"
    path.write_bytes(png_that_claims(*size))
    with pytest.raises(DataError, match="megapixels"):
        open_photo(path)


@pytest.mark.filterwarnings("error")
def test_a_phone_of_100_megapixels_is_not_taken_for_a_bomb(tmp_path):
    path = tmp_path / "happy.png"
    path.write_bytes(png_that_claims(10_000, 10_000))
    with pytest.raises(DataError, match="cut off or damaged"):
        open_photo(path)


def turned(path, orientation):
    """A 2×1 picture, white on the left, stored with an EXIF orientation."""
    image = Image.new("L", (64, 32))
    image.paste(255, (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("orientation", "size", "white"),
    [
        (1, (64, 32), (0, 0)),
        (3, (64, 32), (63, 0)),
        (6, (32, 64), (0, 0)),
        (8, (32, 64), (0, 63)),
        (2, (64, 32), (63, 0)),
    ],
)
def test_a_photo_stands_upright_as_its_exif_says(tmp_path, suffix, orientation, size, white):
    image = open_photo(turned(tmp_path / f"happy{suffix}", orientation))
    assert image.size == size
    assert image.getpixel(white) > 250


def test_exif_that_nobody_can_read_does_no_harm(tmp_path):
    path = tmp_path / "happy.jpg"
    Image.new("RGB", (20, 30)).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff garbage")
    assert open_photo(path).size == (20, 30)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_the_mode_stays_as_it_is_stored(tmp_path, mode):
    path = tmp_path / "happy.png"
    picture(path, mode)
    image = open_photo(path)
    assert image.mode == mode and image.size == (20, 30)


def test_sixteen_bits_a_pixel_become_eight(tmp_path):
    path = tmp_path / "happy.png"
    Image.fromarray(np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)).save(path)
    image = open_photo(path)
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [[0, 100], [200, 255]]


def test_a_cmyk_jpeg_opens(tmp_path):
    assert open_photo(picture(tmp_path / "happy.jpg", "CMYK")).mode == "CMYK"


def test_a_jpeg_with_a_second_picture_inside_opens(tmp_path):
    path = tmp_path / "happy.jpg"
    first, second = Image.new("RGB", (20, 30)), Image.new("RGB", (10, 15))
    buffer = io.BytesIO()
    first.save(buffer, format="MPO", save_all=True, append_images=[second])
    path.write_bytes(buffer.getvalue())
    assert open_photo(path).size == (20, 30)


def test_an_opened_photo_no_longer_needs_its_file(folder):
    path = folder("happy.png") / "happy.png"
    image = open_photo(path)
    path.unlink()
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_the_people_of_jaffe_are_found_by_their_codes(real_data, tmp_path):
    for subject in ("KA", "KL", "KM"):
        codes = "AN DI FE HA SA SU NE".split()
        files = [sorted((real_data / "jaffe").glob(f"{subject}.{code}*.jpg"))[0] for code in codes]
        folder = tmp_path / subject
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        assert [photo.path.name for photo in find_photos(folder)] == [file.name for file in files]
