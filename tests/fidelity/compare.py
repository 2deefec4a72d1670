"""Two trees of the same packages: where they differ, one line for each difference."""

from collections.abc import Callable, Iterator, Mapping

from ingot.bake.tree.tree import Entry, Kind

# Lists of which the order depends on that of unpacking, and says nothing: deb-triggers(5).
UNORDERED = "/var/lib/dpkg/triggers/"


# The files with accounts, with their fields that are ids.
ACCOUNTS = {"/etc/passwd": (2, 3), "/etc/group": (2,), "/etc/shadow": (), "/etc/gshadow": ()}
# Ids that packages take as they are configured, the next free one each: Debian Policy 9.2.2. apt configures
# in another order than dpkg, so the same account may have another id, in the files and as an owner.
DYNAMIC = range(100, 1000)


class Side:
    """A tree: its entries by path, and what reads a file of it."""

    def __init__(self, entries: Mapping[str, Entry], read: Callable[[str], bytes]) -> None:
        self.entries, self.read = entries, read
        self._users, self._groups = (
            {row[2]: row[0] for row in self.rows(path)} for path in ("/etc/passwd", "/etc/group")
        )

    def rows(self, path: str) -> list[list[str]]:
        """The rows of a file with accounts."""
        return [line.split(":") for line in self.read(path).decode().splitlines()]

    def owner(self, entry: Entry) -> str:
        """Whose an entry is: names in place of dynamic ids."""
        return f"{_account(str(entry.uid), self._users)}:{_account(str(entry.gid), self._groups)}"

    def accounts(self, path: str) -> list[list[str]]:
        """The rows of a file with accounts, sorted, with names in place of dynamic ids."""
        found = self.rows(path)
        for row in found:
            for place in ACCOUNTS[path]:
                row[place] = _account(
                    row[place], self._users if (path, place) == ("/etc/passwd", 2) else self._groups
                )
        return sorted(found)


def _account(number: str, names: Mapping[str, str]) -> str:
    return names.get(number, number) if number.isdigit() and int(number) in DYNAMIC else number


def differences(ours: Side, theirs: Side) -> Iterator[tuple[str, str]]:
    """Give (path, what differs): one lacks it, or kind, mode, owner, attributes, link, content."""
    for path in sorted(ours.entries.keys() | theirs.entries.keys()):
        if path not in theirs.entries:
            yield path, "added"
        elif path not in ours.entries:
            yield path, "missing"
        else:
            owners = ours.owner(ours.entries[path]), theirs.owner(theirs.entries[path])
            if owners[0] != owners[1]:
                yield path, f"owner: {owners[0]}, not {owners[1]}"
            for aspect in _aspects(ours.entries[path], theirs.entries[path]):
                if aspect != "content" or not _says_the_same(path, ours, theirs):
                    yield path, aspect


def _says_the_same(path: str, ours: Side, theirs: Side) -> bool:
    if path in ACCOUNTS:
        return ours.accounts(path) == theirs.accounts(path)
    lines = (sorted(side.read(path).splitlines()) for side in (ours, theirs))
    return path.startswith(UNORDERED) and next(lines) == next(lines)


def _aspects(ours: Entry, theirs: Entry) -> Iterator[str]:
    if ours.kind is not theirs.kind:
        yield f"kind: {ours.kind.value}, not {theirs.kind.value}"
        return
    if ours.kind is not Kind.SYMLINK and ours.mode != theirs.mode:
        yield f"mode: {ours.mode:04o}, not {theirs.mode:04o}"
    if ours.xattrs != theirs.xattrs:
        yield f"attributes: {ours.xattrs}, not {theirs.xattrs}"
    if ours.kind is Kind.SYMLINK and ours.link != theirs.link:
        yield f"link: {ours.link}, not {theirs.link}"
    if ours.kind is Kind.FILE and ours.sha256 != theirs.sha256:
        yield "content"
    if ours.group != theirs.group:
        yield f"hard link: of {ours.group}, not {theirs.group}"
