"""fer2013.csv: every kind of wrong file, and the cache of the decoded arrays."""

import os
import threading

import numpy as np
import pytest

from expressions import fer2013_arrays
from expressions.errors import DataError
from expressions.fer2013 import load_fer2013
from expressions.fer2013_arrays import load_fer2013_arrays

HEADER = "emotion,pixels,Usage"


def pixels(value=0, count=2304):
    return " ".join([str(value)] * count)


def row(emotion=3, text=None, usage="Training"):
    return f"{emotion},{pixels() if text is None else text},{usage}"


@pytest.fixture
def csv(tmp_path):
    """Writes rows under a header; returns the path."""

    def write(*rows, header=HEADER, end="\n", encoding="utf-8"):
        path = tmp_path / "fer2013.csv"
        path.write_bytes((end.join((header, *rows)) + end).encode(encoding))
        return path

    return write


@pytest.fixture(autouse=True)
def own_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "user-cache"))


def test_rows_come_in_file_order_with_their_usage(csv):
    path = csv(row(6, pixels(1)), row(0, pixels(2), "PrivateTest"), row(4, pixels(3)), row(1, pixels(4), "PublicTest"))
    fer = load_fer2013(path)
    assert fer.labels.tolist() == [6, 0, 4, 1] and fer.labels.dtype == np.uint8
    assert fer.usage.tolist() == ["Training", "PrivateTest", "Training", "PublicTest"]
    assert [text[0] for text in fer.pixel_strings] == ["1", "2", "3", "4"]
    strings, labels = fer.split("Training")
    assert strings == [pixels(1), pixels(3)] and labels.tolist() == [6, 4]


def test_limit_keeps_the_first_rows_of_each_usage(csv):
    path = csv(*(row(label) for label in range(5)), row(5, usage="PublicTest"), row(6, usage="PublicTest"))
    fer = load_fer2013(path, limit=2)
    assert fer.labels.tolist() == [0, 1, 5, 6]


def test_limit_below_one_is_refused(csv):
    with pytest.raises(DataError, match="limit is 0"):
        load_fer2013(csv(row()), limit=0)


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Usage,pixels,emotion", f"Training,{pixels()},3"),
        ("emotion, Usage, pixels", f"3,Training,{pixels()}"),
        (",emotion,pixels,Usage", f"0,3,{pixels()},Training"),
        ('"emotion","pixels","Usage"', f'"3","{pixels()}","Training"'),
    ],
)
def test_columns_in_another_order_are_found_by_name(csv, header, line):
    fer = load_fer2013(csv(line, header=header))
    assert fer.labels.tolist() == [3] and fer.pixel_strings == [pixels()] and fer.usage.tolist() == ["Training"]


def test_windows_line_ends_a_byte_order_mark_and_blank_lines_do_no_harm(csv):
    fer = load_fer2013(csv(row(), "", row(), "", end="\r\n", encoding="utf-8-sig"))
    assert fer.usage.tolist() == ["Training", "Training"]


def test_a_complete_last_line_needs_no_line_end(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text(f"{HEADER}\n{row()}")
    assert len(load_fer2013(path).pixel_strings) == 1


WRONG_ROWS = {
    "2303 values": (row(text=pixels(count=2303)), "2303 pixel values"),
    "2305 values": (row(text=pixels(count=2305)), "2305 pixel values"),
    "256": (row(text=pixels(count=2303) + " 256"), "pixel 2303 is '256'"),
    "300, which is 44 in uint8": (row(text="300 " + pixels(count=2303)), "pixel 0 is '300'"),
    "a number too large for any integer": (row(text="9" * 400 + " " + pixels(count=2303)), "pixel 0 is '999"),
    "letters": (row(text="1 x " + pixels(count=2302)), "pixel 1 is 'x'"),
    "letters after the last value": (row(text=pixels(count=2303) + " 0x"), "pixel 2303 is '0x'"),
    "negative": (row(text="-1 " + pixels(count=2303)), "pixel 0 is '-1'"),
    "decimal": (row(text="1.5 " + pixels(count=2303)), "pixel 0 is '1.5'"),
    "no pixels": (row(text=""), "0 pixel values"),
    "emotion 9": (row(9), "emotion is '9'"),
    "emotion -1": (row(-1), "emotion is '-1'"),
    "emotion in words": (row("Happy"), "emotion is 'Happy'"),
    "no emotion": (row(""), "emotion is ''"),
    "unknown Usage": (row(usage="Validation"), "Usage is 'Validation'"),
    "two columns": (f"3,{pixels()}", "2 columns"),
    "four columns": (row() + ",1", "4 columns"),
    "bytes that are no text": ("3,\udcff,Training", "pixel 0 is"),
}


@pytest.mark.parametrize("load", [load_fer2013, load_fer2013_arrays])
@pytest.mark.parametrize("name", WRONG_ROWS)
def test_a_wrong_row_is_named_with_its_file_and_line(tmp_path, name, load):
    line, words = WRONG_ROWS[name]
    path = tmp_path / "fer2013.csv"
    path.write_bytes(f"{HEADER}\n{row()}\n{line}\n{row()}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.what.startswith(f"{path}, line 3: {words}")
    assert caught.value.wanted and "line 3" in caught.value.try_


@pytest.mark.parametrize("length", [1, 3, 1000, 4609, 4612])
def test_a_last_line_that_is_cut_off_says_so(tmp_path, length):
    path = tmp_path / "fer2013.csv"
    path.write_text(f"{HEADER}\n{row()}\n{row()[:length]}")
    with pytest.raises(DataError, match="line 3: the file ends in the middle of the row") as caught:
        load_fer2013(path)
    assert "cut off" in caught.value.try_


WRONG_FILES = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n  ", "is empty"),
    "header alone": (HEADER.encode(), "no rows"),
    "zip": (b"PK\x03\x04rest", "a zip archive"),
    "gzip": (b"\x1f\x8b\x08rest", "a gzip archive"),
    "web page": (b"\n<!DOCTYPE html><html>", "a web page"),
    "web page without a type": (b"<HTML><head>", "a web page"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "UTF-16": (HEADER.encode("utf-16"), "text in UTF-16"),
    "binary": (b"\x89HDF\r\n\0\0", "a binary file"),
    "no header": (row().encode(), "no column named emotion or pixels or Usage"),
    "missing column": (b"emotion,pixels\n3,1 2\n", "no column named Usage"),
    "semicolons": (b"emotion;pixels;Usage\n", "no column named"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_that_is_no_csv_is_named_for_what_it_is(tmp_path, name):
    content, words = WRONG_FILES[name]
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load_fer2013(path)
    assert str(path) in caught.value.what and caught.value.try_


def test_a_missing_file_and_a_folder_are_explained(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_fer2013(tmp_path / "fer2013.csv")
    (tmp_path / "fer2013.csv").touch()
    with pytest.raises(DataError, match="is a folder") as caught:
        load_fer2013(tmp_path)
    assert str(tmp_path / "fer2013.csv") in caught.value.try_


def test_an_unknown_usage_and_one_without_rows_are_refused(csv):
    path = csv(row())
    for fer in (load_fer2013(path), load_fer2013_arrays(path)):
        with pytest.raises(DataError, match="no rows of PublicTest"):
            fer.split("PublicTest")
        with pytest.raises(DataError, match="no usage 'Test'"):
            fer.split("Test")


def counting(count=2304):
    return " ".join(str(index % 256) for index in range(count))


def test_arrays_hold_the_pixels_row_by_row(csv):
    arrays = load_fer2013_arrays(csv(row(text=counting()), row(5, pixels(255), "PublicTest")), cache=False)
    assert arrays.images.shape == (2, 48, 48) and arrays.images.dtype == np.uint8
    assert arrays.images[0].ravel().tolist() == [index % 256 for index in range(2304)]
    assert arrays.images[1].min() == 255
    assert arrays.labels.tolist() == [3, 5] and arrays.usage.tolist() == [0, 1]
    assert arrays.cache is None


def test_arrays_of_a_usage_are_picked_wherever_they_stand(csv):
    arrays = load_fer2013_arrays(csv(row(0, pixels(1)), row(1, pixels(2), "PublicTest"), row(2, pixels(3))))
    images, labels = arrays.split("Training")
    assert images[:, 0, 0].tolist() == [1, 3] and labels.tolist() == [0, 2]


def test_the_second_load_is_mapped_and_does_not_read_the_csv(csv, monkeypatch):
    path = csv(row(text=counting()), row(2, usage="PublicTest"))
    first = load_fer2013_arrays(path)

    def unexpected(*_):
        raise AssertionError("the csv was parsed again")

    monkeypatch.setattr(fer2013_arrays, "read_rows", unexpected)
    second = load_fer2013_arrays(path)
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable
    assert second.images.flags.c_contiguous
    assert second.cache.parent == path.parent
    for name in ("images", "labels", "usage"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_a_changed_csv_is_read_again_even_if_its_size_stayed(csv):
    path = csv(row(text=pixels(1)))
    load_fer2013_arrays(path)
    facts = path.stat()
    csv(row(text=pixels(2)))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert load_fer2013_arrays(path).images.max() == 2


def cut(content):
    return content[:-100]


def emptied(_):
    return b""


def with_another_stamp(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def with_a_bad_label(content):
    return content[:-18] + b"\x07" + content[-17:]


def of_another_kind(_):
    return b"\x93NUMPY junk"


@pytest.mark.parametrize("damage", [cut, emptied, with_another_stamp, with_a_bad_label, of_another_kind])
def test_a_damaged_cache_is_noticed_and_rebuilt(csv, damage):
    path = csv(row(text=counting()))
    cache = load_fer2013_arrays(path).cache
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    assert load_fer2013_arrays(path).images[0, 0, 5] == 5
    assert cache.read_bytes() == whole


def test_a_folder_that_cannot_be_written_sends_the_cache_to_the_user_folder(csv, tmp_path):
    path = csv(row(text=counting()))
    # A folder in the cache's place refuses to be replaced by a file, for root as well.
    path.with_name("fer2013.csv.cache.npy").mkdir()
    arrays = load_fer2013_arrays(path)
    assert arrays.cache.is_relative_to(tmp_path / "user-cache")
    assert load_fer2013_arrays(path).cache == arrays.cache


def test_where_nothing_can_be_written_the_arrays_still_come(csv, tmp_path):
    path = csv(row(text=counting()))
    path.with_name("fer2013.csv.cache.npy").mkdir()
    (tmp_path / "user-cache").write_text("a file in the way")
    arrays = load_fer2013_arrays(path)
    assert arrays.cache is None and arrays.images[0, 0, 5] == 5


def test_no_temporary_file_is_left_behind(csv, tmp_path):
    path = csv(row())
    path.with_name("fer2013.csv.cache.npy").mkdir()
    load_fer2013_arrays(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fer2013.csv", "fer2013.csv.cache.npy", "user-cache"]


def test_several_readers_at_once_all_get_the_whole(csv):
    path = csv(*(row(text=counting()) for _ in range(20)))
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_fer2013_arrays(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [int(arrays.images.sum()) for arrays in results] == [20 * sum(index % 256 for index in range(2304))] * 4
