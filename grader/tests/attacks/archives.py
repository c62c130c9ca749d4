"""Hostile and odd archives and folders. Each holds the honest files as well, and those must arrive byte for byte.

`expects` is read word by word: a code is one that a refused entry must have (`parent`, `overlap` …); `kept` says that
nothing is refused; `unreadable` says that the archive is refused as a whole.
"""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib

from grader.tests.attacks import Attack

HONEST = {
    "cnn.py": b"# the student's own work\n",
    "transfer.py": b"# and this too\n",
}
SECRET = "the-secret-of-another-student"
# What the bombs unpack to, all together: enough to be seen, too little to hurt.
BOMB_BYTES = 64 * 2**20


# Writing --------------------------------------------------------------------------------------------------------------


def zip_file(folder, entries, name="jane.zip"):
    """Writes a zip; `entries` is a list of (name or ZipInfo, bytes), then the honest files."""
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in [*entries, *HONEST.items()]:
            if isinstance(entry, str):
                # The class method would cut a name at a NUL and turn separators round.
                item = zipfile.ZipInfo("x")
                item.filename = item.orig_filename = entry
                item.external_attr, item.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
                entry = item
            archive.writestr(entry, content)
    return path


def zip_of(*entries):
    return lambda folder, marker: zip_file(folder, list(entries))


def tar_file(folder, entries, mode="w:gz"):
    path = folder / "jane.tar.gz"
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
        for name, content in [*entries, *HONEST.items()]:
            if isinstance(name, tarfile.TarInfo):
                member = name
            else:
                member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name, kind=tarfile.REGTYPE, target="", **more):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    for key, value in more.items():
        setattr(found, key, value)
    return found


def zip_mode(name, mode):
    item = zipfile.ZipInfo(name)
    item.create_system, item.external_attr = 3, mode << 16
    return item


def raw_zip(entries, comment=b"", count=None, directory_size=None):
    """Makes a zip byte by byte, so that it may lie: `entries` is a list of (raw name, local bytes, central fields)."""
    body, table = io.BytesIO(), io.BytesIO()
    for name, data, fields in entries:
        offset = body.tell() if fields.get("offset") is None else fields["offset"]
        size, crc = fields.get("size", len(data)), fields.get("crc", zlib.crc32(data))
        packed, flags, method = fields.get("packed", data), fields.get("flags", 0), fields.get("method", 0)
        common = struct.pack("<HHHHHLLLHH", 20, flags, method, 0, 33, crc, len(packed), size, len(name), 0)
        if fields.get("offset") is None:
            body.write(b"PK\x03\x04" + common + name + packed)
        table.write(b"PK\x01\x02" + struct.pack("<H", 20) + common)
        table.write(struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, offset) + name)
    place, length, number = body.tell(), table.tell(), len(entries) if count is None else count
    end = struct.pack("<HHHHLLH", 0, 0, min(number, 65535), min(number, 65535), length, place, len(comment))
    if directory_size is not None:
        record = struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, number, number, directory_size, place)
        locator = b"PK\x06\x07" + struct.pack("<LQL", 0, place + length, 1)
        end = b"PK\x06\x06" + record + locator + b"PK\x05\x06" + end
    else:
        end = b"PK\x05\x06" + end
    return body.getvalue() + table.getvalue() + end + comment


def honest_entries():
    return [(name.encode(), content, {}) for name, content in HONEST.items()]


def saved(name, data):
    def build(folder, marker):
        (folder / name).write_bytes(data() if callable(data) else data)
        return folder / name

    return build


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


# Payloads -------------------------------------------------------------------------------------------------------------


def up_to(marker):
    """A relative name that leads from any folder to the marker."""
    return "../" * 20 + str(marker).lstrip("/")


def zip_naming(name):
    return lambda folder, marker: zip_file(folder, [(name(marker), b"marker")])


def through_a_link_zip(folder, marker):
    return zip_file(
        folder, [(zip_mode("way", stat.S_IFLNK | 0o777), str(marker.parent)), (f"way/{marker.name}", b"marker")]
    )


def quoted_overlap_bomb(folder, marker):
    """Each entry's packed bytes hold the next entry's header as a quoted block, so all of them share one kernel.

    Source: D. Fifield, A better zip bomb, WOOT 2019. Python 3.11.7's zipfile unpacks it without complaint.
    """
    kernel = deflated(bytes(2**20))
    names = [b"model_%d.bin" % index for index in range(BOMB_BYTES // 2**20)]

    def local(name, packed_size, content_size, crc):
        fields = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, crc, packed_size, content_size, len(name), 0)
        return b"PK\x03\x04" + fields + name

    plain, packed = bytes(2**20), kernel
    headers = [local(names[-1], len(packed), len(plain), zlib.crc32(plain))]
    sizes = [(len(packed), len(plain), zlib.crc32(plain))]
    for name in reversed(names[:-1]):
        quoted = headers[0]
        block = b"\x00" + struct.pack("<HH", len(quoted), len(quoted) ^ 0xFFFF)
        plain, packed = quoted + plain, block + quoted + packed
        sizes.insert(0, (len(packed), len(plain), zlib.crc32(plain)))
        headers.insert(0, local(name, *sizes[0]))
    # Everything from the first header on is one chain; the table points into it.
    chain, offsets = b"", []
    for index, header in enumerate(headers):
        if index:
            chain += b"\x00" + struct.pack("<HH", len(header), len(header) ^ 0xFFFF)
        offsets.append(len(chain))
        chain += header
    chain += kernel
    data = bytearray(chain)
    table = b""
    for name, offset, (packed_size, content_size, crc) in zip(names, offsets, sizes, strict=True):
        fields = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, crc, packed_size, content_size, len(name), 0)
        table += b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHLL", 0, 0, 0, 0, offset) + name
    for name, content in HONEST.items():
        fields = struct.pack(
            "<HHHHHLLLHH", 20, 0, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0
        )
        table += b"PK\x01\x02" + struct.pack("<H", 20) + fields
        table += struct.pack("<HHHLL", 0, 0, 0, 0, len(data)) + name.encode()
        data += b"PK\x03\x04" + fields + name.encode() + content
    number = len(names) + len(HONEST)
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, number, number, len(table), len(data), 0)
    path = folder / "jane.zip"
    path.write_bytes(bytes(data) + table + end)
    return path


def nested_bomb(folder, marker):
    """Zips in zips, four of each, as 42.zip has them; unpacked to the end they are 64 MB."""
    content = deflated(bytes(2**18))
    layer = raw_zip([(b"zeros.bin", bytes(2**18), {"packed": content, "method": 8})])
    for _ in range(4):
        layer = raw_zip(
            [(b"more%d.zip" % index, layer, {"packed": deflated(layer), "method": 8}) for index in range(4)]
        )
    return zip_file(folder, [("inner.zip", layer)])


def chain_of_zips(folder, marker):
    content = raw_zip([(b"end.txt", b"end", {})])
    for _ in range(30):
        content = raw_zip([(b"again.zip", content, {}), (b"hello.txt", b"hello", {})])
    return zip_file(folder, [("again.zip", content)])


def tar_naming(name):
    return lambda folder, marker: tar_file(folder, [(name(marker), b"marker")])


def tar_through_a_link(folder, marker):
    return tar_file(
        folder, [(member("way", tarfile.SYMTYPE, str(marker.parent)), b""), (f"way/{marker.name}", b"marker")]
    )


def tar_hard_link(folder, marker):
    secret = folder / "private" / "model_1.h5"
    secret.parent.mkdir()
    secret.write_text(SECRET)
    return tar_file(folder, [(member("model_1.h5", tarfile.LNKTYPE, up_to(secret)), b"")])


def tar_pax_path(folder, marker):
    found = member("helpers.py")
    found.pax_headers = {"path": up_to(marker)}
    return tar_file(folder, [(found, b"marker")])


def tar_long_name(folder, marker):
    """GNU's long name says where the file goes; the header itself looks harmless."""
    path = folder / "jane.tar"
    with open(path, "wb") as file:
        long = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
        name = os.fsencode(up_to(marker)) + b"\0"
        long.size = len(name)
        file.write(long.tobuf(tarfile.GNU_FORMAT) + name.ljust(512 * -(-len(name) // 512), b"\0"))
        for inner, content in [("helpers.py", b"marker"), *HONEST.items()]:
            found = member(inner)
            found.size = len(content)
            file.write(found.tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0"))
        file.write(bytes(1024))
    return path


def tar_sparse(folder, marker):
    """An old GNU sparse file: a kilobyte that stands for 256 MB of nothing."""
    path = folder / "jane.tar"
    header = bytearray(member("model_1.h5").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[124:136] = b"%011o\0" % 512
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    header[483:495] = b"%011o\0" % (256 * 2**20)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with open(path, "wb") as file:
        file.write(bytes(header) + bytes(512))
        for inner, content in HONEST.items():
            found = member(inner)
            found.size = len(content)
            file.write(found.tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0"))
        file.write(bytes(1024))
    return path


def tar_negative_size(folder, marker):
    path = tar_file(folder, [], "w")
    data = path.read_bytes()
    header = bytearray(member("model_1.h5").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    end = len(data.rstrip(b"\0"))
    end += -end % 512
    path.write_bytes(data[:end] + bytes(header) + data[end:])
    return path


def gzip_bomb(folder, marker):
    """The honest files come first; what follows is zeros without an end."""
    plain = tar_file(folder, [], "w").read_bytes().rstrip(b"\0")
    plain += bytes(-len(plain) % 512)
    zeros = member("model_1.h5")
    zeros.size = 2 * BOMB_BYTES
    path = folder / "jane.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(plain + zeros.tobuf(tarfile.GNU_FORMAT))
        for _ in range(2 * BOMB_BYTES // 2**20):
            file.write(bytes(2**20))
        file.write(bytes(1024))
    return path


def honest_folder(folder):
    root = folder / "jane"
    root.mkdir()
    for name, content in HONEST.items():
        (root / name).write_bytes(content)
    return root


def folder_with_links(folder, marker):
    root = honest_folder(folder)
    private = folder / "private"
    private.mkdir()
    (private / "model_1.h5").write_text(SECRET)
    (root / "model_1.h5").symlink_to(private / "model_1.h5")
    (root / "photos").symlink_to(private)
    (root / "loop").symlink_to(root)
    return root


def folder_with_pipes(folder, marker):
    root = honest_folder(folder)
    os.mkfifo(root / "model_1.h5")
    return root


def folder_with_hostile_names(folder, marker):
    root = honest_folder(folder)
    for name in ("a\nb.py", "\x1b[31mred.py", "gnp\u202eyp.py"):
        (root / name).write_bytes(b"hostile")
    return root


def truncated_table(folder, marker):
    path = zip_file(folder, [])
    data = path.read_bytes()
    table = data.index(b"PK\x01\x02")
    path.write_bytes(data[: table + 30] + data[data.rindex(b"PK\x05\x06") :])
    return path


def locked(folder, marker):
    path = zip_file(folder, [("model_1.h5", b"locked")])
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


def many_entries(number):
    def build(folder, marker):
        place = len(raw_zip(honest_entries()).partition(b"PK\x01\x02")[0])
        entries = [(b"%06d.bin" % index, b"x", {"offset": place if index else None}) for index in range(number)]
        (folder / "jane.zip").write_bytes(raw_zip([*honest_entries(), *entries]))
        return folder / "jane.zip"

    return build


def many_whole_entries(folder, marker):
    """More entries than the old table can count, so there is a second one with 64 bits."""
    entries = [(b"lib/%05d.bin" % index, b"", {}) for index in range(70_000)]
    entries = [*honest_entries(), *entries]
    body = raw_zip(entries)
    table = body[body.index(b"PK\x01\x02") : body.rindex(b"PK\x05\x06")]
    (folder / "jane.zip").write_bytes(raw_zip(entries, directory_size=len(table)))
    return folder / "jane.zip"


# With nothing in the way ----------------------------------------------------------------------------------------------


def victim(marker):
    folder = marker.parent / "victim"
    folder.mkdir(exist_ok=True)
    return folder


def unzip_by_hand(path, marker):
    """What a script does that joins names to a folder, links included, as Info-ZIP makes them."""
    folder = victim(marker)
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            target = os.path.join(folder, item.filename)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if stat.S_ISLNK(item.external_attr >> 16):
                os.symlink(archive.read(item), target)
            else:
                with open(target, "wb") as file:
                    file.write(archive.read(item))


def unzip_as_windows_does(path, marker):
    folder = victim(marker)
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            target = os.path.normpath(os.path.join(folder, item.filename.replace("\\", "/")))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(archive.read(item))


def unzip_and_run(path, marker):
    folder = victim(marker)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    exec((folder / "cnn.py").read_text(), {})


def untar(path, marker):
    with tarfile.open(path) as archive:
        archive.extractall(victim(marker), filter="fully_trusted")


def untar_and_look(path, marker, found):
    untar(path, marker)
    if any(found(item) for item in victim(marker).iterdir() if item.is_file()):
        marker.touch()


def inflate_by_hand(path, marker):
    """Follows the table of contents to each packed stream and counts what comes out, as a plain unzipper does."""
    data, total = path.read_bytes(), 0
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            name, extra = struct.unpack_from("<HH", data, item.header_offset + 26)
            start = item.header_offset + 30 + name + extra
            if item.compress_type == zipfile.ZIP_DEFLATED:
                total += len(zlib.decompressobj(-15).decompress(data[start:]))
    if total >= BOMB_BYTES:
        marker.touch()


def unzip_to_the_end(path, marker):
    total, queue = 0, [path.read_bytes()]
    while queue:
        with zipfile.ZipFile(io.BytesIO(queue.pop())) as archive:
            for item in archive.infolist():
                content = archive.read(item)
                total += len(content)
                if item.filename.endswith(".zip"):
                    queue.append(content)
    if total >= BOMB_BYTES:
        marker.touch()


def gunzip(path, marker):
    total = 0
    with gzip.open(path) as file:
        while block := file.read(2**20):
            total += len(block)
    if total >= BOMB_BYTES:
        marker.touch()


def copy_tree(path, marker):
    """What `shutil.copytree` does unless it is told otherwise: it follows links."""
    if SECRET in (path / "model_1.h5").read_text():
        marker.touch()


def hostile_cnn(marker):
    return f"open({str(marker)!r}, 'w').close()\n".encode()


ATTACKS = [
    # Names
    Attack("parent_in_zip", "name", zip_naming(up_to), "parent", unzip_by_hand),
    Attack("absolute_in_zip", "name", zip_naming(str), "absolute", unzip_by_hand),
    Attack(
        "backslashes_up",
        "name",
        lambda folder, marker: zip_file(
            folder, [(up_to(marker).replace("/", "\\"), b"marker"), ("photos/train/happy.png", b"x")]
        ),
        "backslash",
        unzip_as_windows_does,
    ),
    Attack("backslashes_up_throughout", "name", zip_naming(lambda m: up_to(m).replace("/", "\\")), "parent",
           unzip_as_windows_does),
    Attack("drive_letter", "name", zip_of(("C:/Windows/win.ini", b"x"), ("D:model_1.h5", b"x")), "drive drive"),
    Attack("alternate_data_stream", "name", zip_of(("model_1.h5:hidden", b"x")), "drive"),
    Attack("newline_in_name", "name", zip_of(("x.py\ncnn.py", b"x")), "control-character"),
    Attack("terminal_codes_in_name", "name", zip_of(("\x1b[2J\x1b]0;pwned\x07.py", b"x")), "control-character"),
    Attack("reversed_text_in_name", "name", zip_of(("model_1\u202e5h.exe.py", b"x")), "control-character"),
    Attack("zero_width_space_twin", "name", zip_of(("cn\u200bn.py", b"hostile")), "control-character"),
    Attack("joiner_twin", "name", zip_of(("cn\u200dn.py", b"hostile")), "duplicate"),
    Attack("nul_in_name", "name", zip_of(("cnn.py\0.txt", b"hostile")), "control-character"),
    Attack("capitals_twin", "name", zip_of(("CNN.PY", b"hostile")), "duplicate"),
    Attack("composed_twin", "name", zip_of(("\u00e9.py", b"one"), ("e\u0301.py", b"two")), "duplicate"),
    Attack("reserved_by_windows", "name", zip_of(("aux.h5", b"x"), ("photos/NUL.png", b"x")), "reserved reserved"),
    Attack("trailing_dot_twin", "name", zip_of(("cnn.py.", b"hostile"), ("cnn.py ", b"hostile")), "reserved reserved"),
    Attack("very_long_name", "name", zip_of(("x" * 300 + ".py", b"x")), "name-length"),
    Attack("very_long_path", "name", zip_of(("/".join(["d" * 90] * 15), b"x")), "name-length"),
    Attack("very_deep_path", "name", zip_of(("d/" * 30 + "x.py", b"x")), "depth"),
    Attack("lone_surrogate", "name",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"\xed\xa0\x80.py", b"x", {"flags": 0x800})])),
           "damaged"),
    Attack("hostile_names_in_a_folder", "name", folder_with_hostile_names, "control-character " * 3),
    # Zip files
    Attack(
        "second_cnn_replaces_the_first",
        "zip",
        lambda folder, marker: appended(zip_file(folder, []), "cnn.py", hostile_cnn(marker)),
        "duplicate",
        unzip_and_run,
    ),
    Attack("link_in_zip", "zip", through_a_link_zip, "link", unzip_by_hand),
    Attack("pipe_in_zip", "zip", lambda folder, marker: zip_file(folder, [(zip_mode("model_1.h5", stat.S_IFIFO), "")]),
           "special"),
    Attack("device_in_zip", "zip",
           lambda folder, marker: zip_file(folder, [(zip_mode("model_1.h5", stat.S_IFCHR), "")]), "special"),
    Attack("password", "zip", locked, "encrypted"),
    Attack("rare_method", "zip",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"model_1.h5", b"x", {"method": 97})])),
           "compression"),
    Attack("plain_bomb", "zip", zip_of(("model_1.h5", bytes(BOMB_BYTES))), "file-size", inflate_by_hand),
    Attack("many_plain_bombs", "zip",
           zip_of(*[(f"model_{index}.h5", bytes(BOMB_BYTES // 8)) for index in (1, 2, 3, 4)],
                  *[(f"m{index}/model_ec1.h5", bytes(BOMB_BYTES // 8)) for index in range(4)]),
           "total-size", inflate_by_hand),
    Attack("quoted_overlap_bomb", "zip", quoted_overlap_bomb, "overlap", inflate_by_hand),
    Attack("nested_bomb", "zip", nested_bomb, "nested-archive", unzip_to_the_end),
    Attack("chain_of_zips", "zip", chain_of_zips, "nested-archive"),
    Attack("size_that_lies", "zip",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"model_1.h5", b"x" * 10, {
               "packed": deflated(bytes(BOMB_BYTES)), "method": 8, "crc": zlib.crc32(bytes(BOMB_BYTES))})])),
           "damaged", inflate_by_hand),
    Attack("wrong_checksum", "zip",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"model_1.h5", b"x", {"crc": 1})])), "damaged"),
    Attack("two_headers_that_disagree", "zip",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"model_1.h5", b"x", {})]).replace(
               b"model_1.h5", b"model_2.h5", 1)), "damaged"),
    Attack("entry_outside_the_archive", "zip",
           saved("jane.zip", lambda: raw_zip([*honest_entries(), (b"model_1.h5", b"", {"offset": 2**31})])), "damaged"),
    Attack("table_damaged_in_the_middle", "zip",
           saved("jane.zip", lambda: raw_zip(
               [*honest_entries(), (b"1.txt", b"", {}), (b"2.txt", b"", {})]
           ).replace(b"1.txtPK\x01\x02", b"1.txtPK\x01\x03")), "damaged"),
    Attack("truncated_table_of_contents", "zip", truncated_table, "unreadable"),
    Attack("two_tables_of_contents", "zip",
           saved("jane.zip", lambda: raw_zip(honest_entries(), directory_size=2**40)), "unreadable"),
    Attack("comment_with_a_table_inside", "zip",
           saved("jane.zip", lambda: raw_zip(honest_entries(), comment=b"PK\x05\x06" + struct.pack(
               "<HHHHLLH", 0, 0, 9, 9, 2**31, 0, 0))),
           "unreadable"),
    Attack("longest_comment", "zip",
           saved("jane.zip", lambda: raw_zip(honest_entries(), comment=b"x" * 65535)), "kept"),
    Attack("seventy_thousand_entries", "zip", many_whole_entries, "kept"),
    Attack("entries_without_end", "zip", many_entries(250_000), "unreadable"),
    Attack("one_file_a_thousand_times", "zip", many_entries(1_000), "overlap"),
    # Tar files
    Attack("parent_in_tar", "name", tar_naming(up_to), "parent", untar),
    Attack("absolute_in_tar", "name", tar_naming(str), "absolute", untar),
    Attack("pax_header_with_another_path", "name", tar_pax_path, "parent", untar),
    Attack("long_name_with_another_path", "name", tar_long_name, "parent", untar),
    Attack("link_in_tar", "zip", tar_through_a_link, "link", untar),
    Attack("hard_link_out_of_tar", "zip", tar_hard_link, "link",
           lambda path, marker: untar_and_look(path, marker, lambda item: SECRET in item.read_text())),
    Attack("device_in_tar", "zip",
           lambda folder, marker: tar_file(
               folder, [(member("model_1.h5", tarfile.CHRTYPE, devmajor=1, devminor=5), b"")]),
           "special"),
    Attack("setuid_in_tar", "zip",
           lambda folder, marker: tar_file(folder, [(member("helpers.py", mode=0o4755), b"x")]), "kept",
           lambda path, marker: untar_and_look(path, marker, lambda item: item.stat().st_mode & stat.S_ISUID)),
    Attack("sparse_in_tar", "zip", tar_sparse, "special",
           lambda path, marker: untar_and_look(path, marker, lambda item: item.stat().st_size >= BOMB_BYTES)),
    Attack("negative_size_in_tar", "zip", tar_negative_size, "damaged"),
    Attack("gzip_bomb", "zip", gzip_bomb, "file-size damaged", gunzip),
    # Folders
    Attack("links_out_of_a_folder", "zip", folder_with_links, "link link link", copy_tree),
    Attack("pipe_in_a_folder", "zip", folder_with_pipes, "special"),
]  # fmt: skip


def appended(path, name, content):
    with zipfile.ZipFile(path, "a") as archive:
        item = zipfile.ZipInfo(name)
        archive.NameToInfo.pop(name)  # else zipfile warns
        archive.writestr(item, content)
    return path
