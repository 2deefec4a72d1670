"""The gate that looks only at what changed finds what the gate that looks at all finds."""

import pytest

from ingot.bake.disk.index import LayerIndex
from ingot.bake.hygiene import Known, examine
from ingot.bake.hygiene.lower import suspects
from ingot.bake.tree.tree import Entry, Kind, Tree, hash_files
from tests.bake.disk.helpers import EPOCH, laid_over, make_disk, tree
from tests.bake.hygiene.support import CAPABILITY, DECLARED, KEY, TOOL, clean, link, service, text

# What packages may bring that is clean or not, as the recipe has it.
SHIPPED = [
    text("/srv/.cache/old", "cached"),
    text("/var/lib/state/open", "x", mode=0o666),
    text("/opt/key.pem", KEY),
    text("/etc/trace", "host builder-7 made this\n"),
    text("/home/someone/.bash_history", "ls\n"),
    text("/usr/share/linked/a", "x", group="/usr/share/linked/a"),
    text("/usr/share/linked/b", "x", group="/usr/share/linked/a"),
    link("/home/someone/.ssh/authorized_keys", "/etc/keys/someone"),
    link("/home/someone/.zsh_history", "/srv/notes"),
    link("/home/someone/.pgpass", "/srv/pg"),
    *service("gone.service", "[Service]\nExecStart=/usr/bin/gone\n"),
    text("/usr/bin/gone", TOOL, mode=0o755),
]
BASE = [*clean(), *SHIPPED]


def without(*paths):
    return [e for e in BASE if e.path not in paths and not e.path.startswith(tuple(f"{p}/" for p in paths))]


def replaced(*entries):
    return [*without(*(entry.path for entry in entries)), *entries]


CASES = {
    "nothing": BASE,
    "all that was wrong is gone": without(
        *(e.path for e in SHIPPED), "/etc/systemd/system/multi-user.target.wants/gone.service"
    ),
    "a secret": replaced(text("/srv/web/key", KEY)),
    "a secret in a new directory": replaced(text("/srv/a/b/c/key", KEY)),
    "a secret in an old file": replaced(text("/etc/hosts", KEY)),
    "a secret goes": without("/opt/key.pem"),
    "the program of a unit goes": without("/usr/bin/gone"),
    "a unit changes": replaced(
        text("/usr/lib/systemd/system/daemon.service", "[Service]\nExecStart=/nowhere\n")
    ),
    "a target of a link goes": without("/usr/bin/su"),
    "a new home": replaced(text("/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:990:990::/srv:/bin/sh\n")),
    "what a link of a package leads to": replaced(
        text("/etc/keys/someone", "ssh-ed25519 AAAA"),
        text("/srv/notes", "x"),
        text("/srv/pg", "a:b:c:d:e"),
    ),
    "a new setuid program": replaced(text("/usr/bin/new", TOOL, mode=0o4755)),
    "a changed setuid program": replaced(text("/usr/bin/su", TOOL + b"!", mode=0o4755)),
    "a capability goes": replaced(text("/usr/bin/ping", TOOL, mode=0o755)),
    "a capability comes": replaced(text("/usr/sbin/daemon", TOOL, mode=0o755, xattrs=CAPABILITY)),
    "all may write a directory": replaced(Entry("/tmp", Kind.DIRECTORY, 0o777, mtime=EPOCH)),
    "a password": replaced(
        text("/etc/shadow", "root:$y$j9T$abc:20000::::::\napp:!:20000::::::\n", mode=0o640, gid=42)
    ),
    "the database of packages": replaced(text("/var/lib/dpkg/info/tests.md5sums", "")),
    "a broken link": replaced(link("/etc/alternatives/vi", "/bin/nothing")),
    "a directory becomes a file": replaced(text("/srv/.cache", "x")),
    "a name of a file goes": without("/usr/share/linked/a"),
    "a machine id": replaced(text("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", mode=0o444)),
    "a drop-in": replaced(
        text("/etc/systemd/system/daemon.service.d/x.conf", "[Service]\nUser=nobody-here\n")
    ),
}


@pytest.fixture(scope="module")
def lower(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lower")
    entries = tree(*BASE)
    _, digest = make_disk(directory, entries, upper=entries)
    index = LayerIndex.of(hash_files(entries), directory, EPOCH)
    found = suspects(directory / "test.lower", index, list(index.values()), ["builder-7"])
    return directory / "test.lower", digest, index, found


@pytest.mark.parametrize("case", CASES)
def test_it_finds_the_same(lower, tmp_path, case):
    before, _, index, doubtful = lower
    entries, upper = tree(*BASE), tree(*CASES[case])
    baseline = "".join(f"{entry.path}\tf\n" for entry in laid_over(index, upper).entries)
    upper = tree(*upper, text("/usr/lib/ingot/baseline/image", baseline))
    disk, digest = make_disk(tmp_path, entries, upper=upper)
    blocks = make_disk(tmp_path, entries, name="again")[1].blocks
    known = Known(before, blocks, digest.blocks, index, doubtful)
    shipped = Tree(entries)
    whole = examine(disk, DECLARED, traces=["builder-7"], shipped=shipped)
    assert examine(disk, DECLARED, traces=["builder-7"], shipped=shipped, known=known) == whole
    assert bool(whole.findings) == (case != "all that was wrong is gone"), whole.findings
