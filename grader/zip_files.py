"""Reads zip files that somebody else made, entry by entry; what can be counted is counted and not believed.

Python's zipfile gives up a whole archive for one entry with an odd name or header, unpacks overlapping entries in some
versions, and cuts names at a NUL. Here each entry has its own fate.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.6.
"""

import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
IS_ENCRYPTED = 0x1 | 0x40
NAME_IS_UTF8 = 0x800
_CENTRAL, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_BLOCK = 2**16


class ZipDamage(ValueError):
    """The archive, or one entry of it, is not what it says; the text says how."""


class TooManyEntries(ValueError):
    """The table of contents lists more entries than allowed."""


class TableTooLarge(ValueError):
    """The table of contents is larger than allowed; its only argument is the number of bytes."""


@dataclass(frozen=True)
class ZipEntry:
    """One line of the table of contents.

    Attributes:
        name: str, as its author saw it.
        raw_name: bytes.
        flags, method, crc, packed_size, size: int, as stated.
        start, end: int, the bytes of the file that it claims, from its local header on.
        mode: int, the Unix mode; 0 where the packing program has none.
        problem: str, why it cannot be read; empty if nothing is known yet.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    start: int
    end: int
    mode: int
    problem: str


class ZipReader:
    """An open zip.

    Args:
        path: path of the file.
        max_table_bytes: int, the largest table of contents that is read.
        max_entries: int.

    Attributes:
        entries: list of `ZipEntry`, in the order of the table.
        rest: str, why the table could not be read to its end; empty if it was.

    Raises:
        ZipDamage: there is no table of contents, or none that can be read.
        TooManyEntries: it lists more than `max_entries`.
        TableTooLarge: it has more than `max_table_bytes`.
        OSError: the file cannot be read.
    """

    def __init__(self, path, max_table_bytes, max_entries):
        self.file = open(path, "rb")
        self.rest = ""
        try:
            self.entries = self._read_table(max_table_bytes, max_entries)
        except BaseException:
            self.file.close()
            raise

    def close(self):
        """Closes the file."""
        self.file.close()

    def _read_table(self, max_table_bytes, max_entries):
        file_size = self.file.seek(0, 2)
        # The end of the table, behind it at most 65,535 bytes of comment, before it its 64-bit form.
        self.file.seek(max(0, file_size - 65_557 - 76))
        tail = self.file.read()
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or place + 22 > len(tail):
            raise ZipDamage("the table of contents at its end is missing, as after an upload that stopped early")
        table_end = file_size - len(tail) + place
        number, length, offset = struct.unpack_from("<HLL", tail, place + 10)
        saturated = number == 0xFFFF or 0xFFFFFFFF in (length, offset)
        if (
            place >= 76
            and tail[place - 20 : place - 16] == b"PK\x06\x07"
            and tail[place - 76 : place - 72] == b"PK\x06\x06"
        ):
            big = struct.unpack_from("<QQQ", tail, place - 76 + 32)
            if not saturated and big[1:] != (length, offset):
                raise ZipDamage("it has two tables of contents that disagree")
            length, offset, table_end = big[1], big[2], table_end - 76
        if length > max_table_bytes:
            raise TableTooLarge(length)
        first = table_end - length
        before = first - offset  # bytes before the zip, as in a self-extracting archive
        if first < 0 or before < 0:
            raise ZipDamage("the table of contents at its end says that it lies elsewhere")
        self.file.seek(first)
        table = self.file.read(length)
        entries, at = [], 0
        while at + _CENTRAL.size <= len(table) and table[at : at + 4] == b"PK\x01\x02":
            if len(entries) >= max_entries:
                raise TooManyEntries(f"more than {max_entries:,} entries")
            entry, at = self._read_line(table, at, before, first)
            entries.append(entry)
        if at < len(table):
            if not entries:
                raise ZipDamage("the table of contents at its end cannot be read")
            self.rest = f"after {len(entries):,} entries the table of contents cannot be read"
        return entries

    @staticmethod
    def _read_line(table, at, before, first):
        fields = _CENTRAL.unpack_from(table, at)
        flags, method, crc, packed_size, size = fields[3], fields[4], *fields[7:10]
        name_length, extra_length, comment_length, disk, _, attributes, offset = fields[10:]
        at += _CENTRAL.size
        raw_name = table[at : at + name_length]
        extra = table[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        problem, unicode_name = "", None
        try:
            blocks = dict(_extra_blocks(extra))
            sizes = [size, packed_size, offset]
            wide = blocks.get(1, b"")
            for index, value in enumerate(sizes):
                if value == 0xFFFFFFFF:
                    (sizes[index],), wide = struct.unpack_from("<Q", wide), wide[8:]
            size, packed_size, offset = sizes
            unicode_name = _unicode_path(blocks.get(0x7075), raw_name)
        except (struct.error, ValueError):
            problem = "its line in the table of contents is damaged"
        try:
            name = unicode_name or _decoded(raw_name, flags)
        except UnicodeDecodeError:
            name, problem = raw_name.decode("utf-8", "replace"), "its name is no valid text"
        start = before + offset
        end = start + _LOCAL.size + name_length + packed_size
        if disk not in (0, 0xFFFF):
            problem = problem or "it lies in another part of an archive of several parts"
        if not problem and end > first:
            problem = "its bytes lie outside the archive"
        entry = ZipEntry(name, raw_name, flags, method, crc, packed_size, size, start, end, attributes >> 16, problem)
        return entry, at

    def open(self, entry):
        """Opens the content of an entry.

        Args:
            entry: `ZipEntry` of method `STORED` or `DEFLATED` that is not encrypted.

        Returns:
            object with `read(size)`, which gives at most `size` bytes and `b""` at the end.

        Raises:
            ZipDamage: its local header is not what the table of contents says.
        """
        self.file.seek(entry.start)
        header = self.file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            raise ZipDamage("there is no entry where the table of contents says")
        fields = _LOCAL.unpack(header)
        if self.file.read(fields[9]) != entry.raw_name or fields[3] != entry.method:
            raise ZipDamage("its two headers disagree")
        return _Content(self.file, entry, self.file.tell() + fields[10])


class _Content:
    """The bytes of one entry. Sizes and checksum are compared with what was stated as the bytes come."""

    def __init__(self, file, entry, place):
        self.file, self.entry, self.place = file, entry, place
        self.packed_left, self.size, self.crc = entry.packed_size, 0, 0
        self.unpacker = zlib.decompressobj(-15) if entry.method == DEFLATED else None
        self.waiting = b""

    def read(self, size):
        """Returns the next bytes; `b""` only after everything was compared."""
        data = self._inflate(size) if self.unpacker else self._raw(size)
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if self.size > self.entry.size:
            raise ZipDamage(f"it states {self.entry.size:,} bytes and has more")
        if not data and (self.size != self.entry.size or (self.unpacker and not self.unpacker.eof)):
            raise ZipDamage(f"it states {self.entry.size:,} bytes and has {self.size:,}")
        if not data and self.crc != self.entry.crc:
            raise ZipDamage("its checksum is wrong")
        return data

    def _raw(self, size):
        self.file.seek(self.place)
        data = self.file.read(min(size, self.packed_left))
        self.place += len(data)
        self.packed_left -= len(data)
        return data

    def _inflate(self, size):
        while not self.unpacker.eof:
            packed = self.waiting or self._raw(_BLOCK)
            try:
                data = self.unpacker.decompress(packed, size)
            except zlib.error as error:
                raise ZipDamage(str(error)) from None
            self.waiting = self.unpacker.unconsumed_tail
            if data:
                return data
            if not packed:
                return b""
        return b""


def _extra_blocks(extra):
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if length > len(extra) - 4:
            # Android's and Java's tools pad with whatever; only a size that is needed is missed later.
            return
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def _unicode_path(block, raw_name):
    """Returns the name that Info-ZIP keeps beside one in an old code page; None if there is none that still holds."""
    if not block or len(block) < 5 or block[0] != 1 or struct.unpack_from("<L", block, 1)[0] != zlib.crc32(raw_name):
        return None
    return block[5:].decode("utf-8") or None


def _decoded(raw_name, flags):
    if flags & NAME_IS_UTF8:
        return raw_name.decode("utf-8")
    try:
        return raw_name.decode("utf-8")  # macOS writes UTF-8 and does not say so
    except UnicodeDecodeError:
        return raw_name.decode("cp437")
