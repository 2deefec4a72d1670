"""Files of Berkeley DB are the same whenever and wherever they were made, and hold what they held."""

import struct

import pytest

from ingot.bake.image.berkeley import repeatable
from ingot.bake.image.seal import seal

SIZE = 512


def database(memory, magic=0x061561, order="<"):
    """A page that says what it is and one with two entries, as Berkeley DB writes them; ``memory`` is a byte
    of what happened to be there.
    """
    first = bytes(12) + struct.pack(f"{order}III", magic, 9, SIZE) + bytes(28) + memory * 20
    entries = (
        bytes(20) + struct.pack(f"{order}HHBB", 2, SIZE - 8, 0, 13) + struct.pack(f"{order}HH", 508, 504)
    )
    return first.ljust(SIZE, b"\0") + entries + memory * (SIZE - 8 - len(entries)) + b"key\0text"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0x061561, 0x053162])
def test_it_depends_on_content_and_path_alone(magic, order):
    one, other = (repeatable(database(memory, magic, order), "/etc/aliases.db") for memory in (b"a", b"b"))
    assert one == other != repeatable(database(b"a", magic, order), "/etc/postfix/transport.db")
    kept = database(b"\0", magic, order)
    assert one[:52] + one[72:] == kept[:52] + kept[72:]


@pytest.mark.parametrize(
    "other", [b"", database(b"a")[:-1], database(b"a", magic=1), b"SQLite format 3\0" * 64]
)
def test_another_file_is_left_alone(other):
    assert repeatable(other, "/etc/x.db") is None


def test_sealing_does_it_but_not_to_files_of_the_recipe(root):
    for name in ("aliases.db", "postfix/transport.db", "postfix/own.db"):
        (root / "etc" / name).parent.mkdir(exist_ok=True)
        (root / "etc" / name).write_bytes(database(b"a"))
    (root / "etc/linked.db").symlink_to("aliases.db")
    seal(root, epoch=0, declared=["/etc/postfix/own.db"])
    assert (root / "etc/aliases.db").read_bytes() == repeatable(database(b"b"), "/etc/aliases.db")
    transport = repeatable(database(b"b"), "/etc/postfix/transport.db")
    assert (root / "etc/postfix/transport.db").read_bytes() == transport
    assert (root / "etc/postfix/own.db").read_bytes() == database(b"a")
