"""Berkeley DB's files, such as the tables of postmap(1): each bears 20 random bytes, by which a shared cache
tells files apart, and in the free space of its pages what was in memory.

The format is that of Berkeley DB 5.3's db_page.h: on the first page (DBMETA) the magic number, in the byte
order of the machine that wrote it, the size of a page, and the file's id; on each page (PAGE) its kind, how
many entries it has, two bytes for each of them, and where the last of their contents begins. What lies
between is free.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Optional

# Where packages and their tools put such files.
PLACES = ("etc/*.db", "etc/*/*.db", "var/lib/*/*.db")
# Bytes. Tables of a server's configuration are smaller; databases are not a bake's to touch.
LARGEST = 16 << 20
# Those of a B-tree and of a hash.
_MAGIC = frozenset({0x053162, 0x061561})
_MAGIC_AT, _SIZE_AT, _ID_AT, _ID_SIZE = 12, 20, 52, 20
_ENTRIES_AT, _KIND_AT, _HEADER = 20, 25, 26
# Pages with entries: of an unsorted hash, of a B-tree's inner nodes and leaves, of a sorted hash.
_WITH_ENTRIES = frozenset({2, 3, 5, 13})


def repeatable(content: bytes, path: str) -> Optional[bytes]:
    """Return a file of Berkeley DB with an id that follows from its path in the image, and zeros where it is
    free. None for what is no such file.
    """
    if len(content) < _ID_AT + _ID_SIZE:
        return None
    for order in "<>":
        (magic,) = struct.unpack_from(f"{order}I", content, _MAGIC_AT)
        (size,) = struct.unpack_from(f"{order}I", content, _SIZE_AT)
        if magic in _MAGIC and size >= 512 and len(content) % size == 0:
            break
    else:
        return None
    copy = bytearray(content)
    copy[_ID_AT : _ID_AT + _ID_SIZE] = hashlib.sha256(path.encode()).digest()[:_ID_SIZE]
    for page in range(size, len(copy), size):
        if copy[page + _KIND_AT] in _WITH_ENTRIES:
            entries, last = struct.unpack_from(f"{order}HH", copy, page + _ENTRIES_AT)
            free = _HEADER + 2 * entries
            if free < last <= size:
                copy[page + free : page + last] = bytes(last - free)
    return bytes(copy)
