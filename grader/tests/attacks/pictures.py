"""Hostile and odd pictures and write-ups, under the names that a submission gives them.

`expects` of a picture is a part of the sentence that `expressions.photos` answers with, or `opens`; of a write-up, a
part of the remark that intake makes, or `no remark`.
"""

import io
import os
import struct
import zipfile
import zlib

from PIL import Image

from grader.tests.attacks import Attack

SIDE = 64


def saved(name, content):
    """Makes a `build`: `content` is bytes, or a function of the marker that returns them."""

    def build(folder, marker):
        (folder / name).write_bytes(content(marker) if callable(content) else content)
        return folder / name

    return build


def picture(mode="L", size=(SIDE, SIDE), form="PNG", **options):
    stream = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(stream, form, **options)
    return stream.getvalue()


# PNG by the byte -----------------------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(width, height, pixels, *chunks):
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(chunks) + chunk(b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def png_of_zeros(width, height):
    """A few kilobytes that decode to `width * height` bytes."""
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    return b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])


def grey_png(*chunks):
    return png(SIDE, SIDE, zlib.compress(b"".join(b"\0" + bytes(range(SIDE)) for _ in range(SIDE))), *chunks)


# Payloads ------------------------------------------------------------------------------------------------------------


def encapsulated_postscript(folder, marker):
    """A drawing called .png. Pillow, left to guess, hands it to the program `gs`; one stands in for it here."""
    gs = folder / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {marker}\n")
    gs.chmod(0o755)
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\nshowpage\n%%EOF\n"
    (folder / "happy.png").write_bytes(text)
    return folder / "happy.png"


def open_by_content(path, marker):
    """What `Image.open(path)` does without `formats`, on a machine that has Ghostscript."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{path.parent / 'bin'}{os.pathsep}{before}"
    try:
        from PIL import EpsImagePlugin

        EpsImagePlugin.gs_binary = None  # where it was looked for before the stand-in was there
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        pass
    finally:
        os.environ["PATH"] = before


def decode_without_limit(path, marker):
    """Decodes the pixels as a viewer without limits does; the marker stands for 64 MB of memory."""
    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    try:
        with Image.open(path) as image:
            image.load()
            if image.width * image.height >= 64 * 2**20:
                marker.touch()
    finally:
        Image.MAX_IMAGE_PIXELS = before


def inflate_text(path, marker):
    data, place, total = path.read_bytes(), 8, 0
    while place < len(data):
        length = struct.unpack_from(">L", data, place)[0]
        if data[place + 4 : place + 8] == b"zTXt":
            packed = data[place + 8 : place + 8 + length].split(b"\0", 1)[1][1:]
            total += len(zlib.decompress(packed))
        place += length + 12
    if total >= 64 * 2**20:
        marker.touch()


def text_bomb():
    return grey_png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 * 2**20), 9)))


def exif_in_circles():
    """EXIF whose first directory is its own successor, and whose entries point outside."""
    entries = [(0x0112, 3, 1, 6), (0x8769, 4, 1, 8), (0x8825, 4, 1, 0xFFFFFFF0), (0x010E, 2, 0xFFFFFFFF, 0xFFFFFF00)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<L", 8) + directory + struct.pack("<L", 8)
    plain = picture(form="JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


def animation():
    frames = [Image.new("L", (SIDE, SIDE), value) for value in range(0, 256, 4)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def heic():
    return struct.pack(">L", 24) + b"ftypheic" + b"\0\0\0\0mif1heic" + bytes(200)


# Write-ups -----------------------------------------------------------------------------------------------------------

PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R EXTRA>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def pdf_with(extra):
    return PDF.replace(b"EXTRA", extra)


def word_document():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return stream.getvalue()


def pdf_and_zip():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("cnn.py", "print('from inside the write-up')")
    return pdf_with(b"") + stream.getvalue() + b"\n%%EOF\n"


ATTACKS = [
    Attack("postscript_named_png", "image", encapsulated_postscript, "PostScript", open_by_content),
    Attack("header_of_50000_by_50000", "image", saved("happy.png", lambda _: png(50_000, 50_000, zlib.compress(b""))),
           "megapixels"),
    Attack("pixels_of_10000_by_12500", "image",
           saved("happy.png", lambda _: png(10_000, 12_500, png_of_zeros(10_000, 12_500))),
           "megapixels", decode_without_limit),
    Attack("text_chunk_of_64_mb", "image", saved("happy.png", lambda _: text_bomb()), "damaged", inflate_text),
    Attack("exif_in_circles", "image", saved("happy.jpg", lambda _: exif_in_circles()), "opens"),
    Attack("cut_off_png", "image", saved("happy.png", lambda _: picture(size=(512, 512))[:400]), "damaged"),
    Attack("cut_off_jpeg", "image", saved("happy.jpg", lambda _: picture(form="JPEG", size=(512, 512))[:1500]),
           "damaged"),
    Attack("wrong_checksums", "image", saved("happy.png", lambda _: picture().replace(b"IHDR", b"IHDS")), "damaged"),
    Attack("one_pixel", "image", saved("happy.png", lambda _: picture(size=(1, 1))), "opens"),
    Attack("no_pixel", "image", saved("happy.png", lambda _: png(0, 0, zlib.compress(b""))), "damaged"),
    Attack("four_inks", "image", saved("happy.jpg", lambda _: picture("CMYK", form="JPEG")), "opens"),
    Attack("sixteen_bits", "image", saved("happy.png", lambda _: picture("I;16")), "opens"),
    Attack("animation", "image", saved("happy.png", lambda _: animation()), "opens"),
    Attack("gif_named_png", "image", saved("happy.png", lambda _: picture(form="GIF")), "GIF"),
    Attack("drawing_named_png", "image", saved("happy.png", lambda marker: (
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{marker}"/></svg>').encode()), "SVG"),
    Attack("web_page_named_png", "image", saved("happy.png", b"<!DOCTYPE html><script>alert(1)</script>"), "web page"),
    Attack("script_named_png", "image", saved("happy.png", lambda marker: (
        f"import pathlib; pathlib.Path({str(marker)!r}).touch()").encode()), "no picture",
        lambda path, marker: exec(path.read_text(), {})),
    Attack("heic_of_an_iphone", "image", saved("happy.heic", lambda _: heic()), "HEIC"),
    Attack("heic_named_jpg", "image", saved("happy.jpg", lambda _: heic()), "HEIC"),
    Attack("lfs_pointer", "image", saved("happy.png", b"version https://git-lfs.github.com/spec/v1\n"), "LFS"),
    Attack("empty_picture", "image", saved("happy.png", b""), "empty"),
    Attack("word_named_pdf", "pdf", saved("writeup.pdf", lambda _: word_document()), "Word document"),
    Attack("web_page_named_pdf", "pdf", saved("writeup.pdf", b"<html><script>alert(1)</script></html>"), "web page"),
    Attack("postscript_named_pdf", "pdf", saved("writeup.pdf", b"%!PS-Adobe-3.0\n(x) run\n"), "PostScript"),
    Attack("empty_pdf", "pdf", saved("writeup.pdf", b""), "empty"),
    Attack("cut_off_pdf", "pdf", saved("writeup.pdf", PDF[:80]), "cut off"),
    Attack("pdf_that_runs_javascript", "pdf", saved("writeup.pdf", lambda marker: pdf_with(
        f"/OpenAction<</S/JavaScript/JS(app.launchURL('file://{marker}'))>>".encode())), "/JavaScript"),
    Attack("pdf_that_starts_a_program", "pdf", saved("writeup.pdf", lambda marker: pdf_with(
        f"/OpenAction<</S/Launch/F(/bin/touch)/P({marker})>>".encode())), "/Launch"),
    Attack("pdf_with_a_zip_behind_it", "pdf", saved("writeup.pdf", lambda _: pdf_and_zip()), "no remark"),
]  # fmt: skip
