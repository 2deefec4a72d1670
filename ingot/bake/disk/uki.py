"""The unified kernel image: systemd's EFI stub with the kernel, its command line and its
initrd as further sections.

Format: Microsoft's "PE Format"; the sections are those of the Unified Kernel Image specification
(uapi-group.org).
"""

from __future__ import annotations

import struct
from typing import List, Sequence, Tuple

from ingot.errors import BakeError

_SECTION = struct.Struct("<8sIIIIIIHHI")
_DATA = 0x40000040  # initialised data, readable
_CODE = 0x60000020  # code, executable, readable: old kernels are run in place


def _align(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def build_uki(stub: bytes, sections: Sequence[Tuple[str, bytes]]) -> bytes:
    """Return ``stub`` with ``sections`` (name of at most 8 characters, content) appended in this order.

    Raises BakeError when the stub is no PE32+ file or has no room for the section headers.
    """
    if stub[:2] != b"MZ" or len(stub) < 0x40:
        raise BakeError("the EFI stub is not a PE file")
    header = struct.unpack_from("<I", stub, 0x3C)[0]
    if stub[header : header + 4] != b"PE\0\0" or struct.unpack_from("<H", stub, header + 24)[0] != 0x20B:
        raise BakeError("the EFI stub is not a PE32+ file")
    count, optional_size = (
        struct.unpack_from("<H", stub, header + 6)[0],
        struct.unpack_from("<H", stub, header + 20)[0],
    )
    optional = header + 24
    section_unit, file_unit = struct.unpack_from("<II", stub, optional + 32)
    header_room = struct.unpack_from("<I", stub, optional + 60)[0]
    table = optional + optional_size
    old = [_SECTION.unpack_from(stub, table + index * _SECTION.size) for index in range(count)]
    if table + (count + len(sections)) * _SECTION.size > min(header_room, min(s[4] for s in old if s[4])):
        raise BakeError("the EFI stub has no room for more section headers")

    # Whatever follows the last section (symbols, debugging) is dropped.
    image = bytearray(stub[: max(section[4] + section[3] for section in old)])
    memory = max(section[2] + section[1] for section in old)
    for number, (name, content) in enumerate(sections):
        memory = _align(memory, section_unit)
        at = _align(len(image), file_unit)
        size = _align(len(content), file_unit)
        image.extend(bytes(at - len(image)))
        image.extend(content)
        image.extend(bytes(size - len(content)))
        flags = _CODE if name == ".linux" else _DATA
        _SECTION.pack_into(
            image, table + (count + number) * _SECTION.size,
            name.encode("ascii"), len(content), memory, size, at, 0, 0, 0, 0, flags,
        )  # fmt: skip
        memory += len(content)
    struct.pack_into("<H", image, header + 6, count + len(sections))
    struct.pack_into("<II", image, header + 12, 0, 0)  # no symbol table
    struct.pack_into("<I", image, optional + 56, _align(memory, section_unit))
    struct.pack_into("<I", image, optional + 64, 0)  # the checksum, which firmware does not look at
    return bytes(image)


def read_sections(image: bytes) -> List[Tuple[str, bytes]]:
    """Return name and content of each section of a PE file."""
    return [(name, image[at : at + size]) for name, at, size in find_sections(image)]


def find_sections(image: bytes) -> List[Tuple[str, int, int]]:
    """Return name, place in the file and size of each section of a PE file."""
    header = struct.unpack_from("<I", image, 0x3C)[0]
    count, optional_size = (
        struct.unpack_from("<H", image, header + 6)[0],
        struct.unpack_from("<H", image, header + 20)[0],
    )
    table = header + 24 + optional_size
    found = []
    for index in range(count):
        name, size, _, raw, at, *_ = _SECTION.unpack_from(image, table + index * _SECTION.size)
        found.append((name.rstrip(b"\0").decode("ascii"), at, min(size, raw)))
    return found
