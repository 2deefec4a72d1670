"""Rules that join several keys of a recipe: names that must exist, names and ids that must not repeat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingot.errors import Problem
from ingot.quantities import GIB, written_size
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.packages import CHOSEN, PackageChoice, names_of
from ingot.recipe.schema.storage import InstanceStore, Volume
from ingot.recipe.syntax.document import At
from ingot.recipe.syntax.explain import close_to


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What every Debian and Ubuntu system has: group.master and passwd.master of the source package base-passwd
# (3.6.1, bookworm; trixie and noble have the same).
BASE_GROUPS = _words("""
    root daemon bin sys adm tty disk lp mail news uucp man proxy kmem dialout fax voice cdrom floppy tape sudo
    audio dip www-data backup operator list irc src shadow utmp video sasl plugdev staff games users nogroup
    """)
BASE_USERS = _words(
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody"
)
# What the base packages of every image create: udev, systemd and dbus (their sysusers.d(5) files and
# postinst).
ENGINE_GROUPS = _words("""
    input kvm render sgx messagebus systemd-journal systemd-network systemd-resolve systemd-timesync
    """)
ENGINE_USERS = _words("messagebus systemd-network systemd-resolve systemd-timesync")

# Bytes: EC2 user guide, "Root volume type".
INSTANCE_STORE_LARGEST = 10 * GIB

SYSTEM_GROUPS = BASE_GROUPS | ENGINE_GROUPS
SYSTEM_USERS = BASE_USERS | ENGINE_USERS


def check_references(recipe: Recipe) -> list[Problem]:
    """Return what is wrong between the keys of a recipe."""
    return [
        *_check_name(recipe),
        *_check_repeats(recipe),
        *_check_system_names(recipe),
        *_check_groups_of_users(recipe),
        *_check_owners(recipe),
        *_check_services(recipe),
        *_check_packages(recipe),
        *_check_artifacts(recipe),
        *_check_configuration(recipe),
        *_check_root(recipe),
        *_check_storage(recipe),
        *_check_languages(recipe),
        *_check_debconf(recipe),
        *_check_stages(recipe),
    ]


def _check_name(recipe: Recipe) -> Iterable[Problem]:
    # Resolved: the recipe may be read as `.` or through a link to its directory.
    directory = recipe.directory.resolve().name
    if recipe.name != directory:
        yield recipe.problem(
            ("name",), f"the name {recipe.name!r}", f"{directory!r}, the name of its directory"
        )


def _check_repeats(recipe: Recipe) -> Iterable[Problem]:
    lists: list[tuple[str, str | None, Sequence[Any]]] = [
        ("packages", None, names_of(recipe.packages)),
        ("groups", "name", recipe.groups),
        ("groups", "gid", recipe.groups),
        ("users", "name", recipe.users),
        ("users", "uid", recipe.users),
        ("tests", "name", recipe.tests),
        ("artifacts", "target", recipe.artifacts),
        ("artifacts", "url", recipe.artifacts),
        ("volumes", "name", recipe.volumes),
        ("volumes", "mount", recipe.volumes),
        ("volumes", "device", recipe.volumes),
    ]
    for name, key, items in lists:
        seen: dict[Any, int] = {}
        for number, item in enumerate(items):
            value = item if key is None else getattr(item, key)
            if value is None:
                continue
            at: At = (name, number) if key is None else (name, number, key)
            if value in seen:
                first = recipe.document.place((name, seen[value])).seen_from(recipe.document.place(at).file)
                what = f"{key or 'package'} {value!r} a second time"
                whose = (
                    f"{name.removesuffix('s')} {items[seen[value]].name} in " if key in ("uid", "gid") else ""
                )
                yield recipe.problem(
                    at, what, f"a {key or 'name'} that is not used yet: {whose}{first} has it"
                )
            else:
                seen[value] = number


def _check_system_names(recipe: Recipe) -> Iterable[Problem]:
    """A recipe cannot declare what the distribution has already, with an id of its own."""
    for key, names, taken in (
        ("groups", [group.name for group in recipe.groups], SYSTEM_GROUPS),
        ("users", [user.name for user in recipe.users], SYSTEM_USERS),
    ):
        for number, name in enumerate(names):
            if name in taken:
                what = f"{name!r}, which the distribution brings"
                yield recipe.problem(
                    (key, number, "name"), what, f"a name of your own: {name} can be used undeclared"
                )


def _check_groups_of_users(recipe: Recipe) -> Iterable[Problem]:
    for at, user in _written(recipe, "users"):
        yield from _known(recipe, "group", user.get("group"), (*at, "group"))
        groups = user.get("groups")
        for place, group in enumerate(groups if isinstance(groups, list) else ()):
            yield from _known(recipe, "group", group, (*at, "groups", place))


def _check_owners(recipe: Recipe) -> Iterable[Problem]:
    for at, entry in [entry for key in ("files", "app", "artifacts") for entry in _written(recipe, key)]:
        yield from _known(recipe, "user", entry.get("owner"), (*at, "owner"))
        yield from _known(recipe, "group", entry.get("group"), (*at, "group"))


def _written(recipe: Recipe, key: str) -> Iterable[tuple[At, dict[str, Any]]]:
    """Yield each mapping below ``key`` as written: a wrong uid must not hide a wrong group."""
    whole = (recipe.document.origin or recipe.document).data
    value = whole.get(key) if isinstance(whole, dict) else None
    entries = [((key,), value)] if key == "app" else [((key, n), e) for n, e in enumerate(_list(value))]
    yield from ((at, entry) for at, entry in entries if isinstance(entry, dict))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _known(recipe: Recipe, kind: str, name: object, at: At) -> Iterable[Problem]:
    declared = _declared(recipe, f"{kind}s")
    if declared is None or not isinstance(name, str):
        return
    names = declared | (SYSTEM_USERS if kind == "user" else SYSTEM_GROUPS)
    if name not in names:
        number = "uid: …, group: …" if kind == "user" else "gid: …"
        hint = close_to(name, sorted(names)) or f"declare it under {kind}s: {{name: {name}, {number}}}"
        if recipe.whole is not None:
            hint = "a stage has those of the distribution; the image's are given where it takes the files"
        yield (recipe.document.origin or recipe.document).problem(
            at, f"the {kind} {name!r}, which is not declared", f"a declared or system {kind}", hint
        )


def _declared(recipe: Recipe, key: str) -> set[str] | None:
    """Return the names that the file declares, those with another fault too.

    None when that cannot be told.
    """
    whole = (recipe.document.origin or recipe.document).data
    if not isinstance(whole, dict):
        return None
    items = whole.get(key, [])
    if key not in whole and whole.keys() - Recipe.model_fields.keys():
        return None  # perhaps the unknown key is meant to be this one
    if not isinstance(items, list):
        return None
    return {str(item["name"]) for item in items if isinstance(item, dict) and "name" in item}


def _check_packages(recipe: Recipe) -> Iterable[Problem]:
    for number, text in enumerate(recipe.packages):
        choice = PackageChoice.of(text)
        at: At = ("packages", number)
        if choice.is_chosen and recipe.base.ami is not None:
            hint = f"let a step install it: apt-get install {text}"
            yield recipe.problem(at, f"{text!r} on a base AMI", "the name of a package alone", hint)
        elif choice.suite is not None:
            backports = CHOSEN.format(recipe.base.debian or recipe.base.ubuntu)
            if choice.suite != backports:
                what = f"{choice.name!r} of the suite {choice.suite!r}"
                hint = "archives beside the distribution's are apt_sources"
                yield recipe.problem(at, what, f"{choice.name}/{backports}, or the name alone", hint)


def _check_artifacts(recipe: Recipe) -> Iterable[Problem]:
    for number, artifact in enumerate(recipe.artifacts):
        if artifact.install and recipe.base.ami is not None:
            at = ("artifacts", number, "install")
            hint = "leave install out, give it a target, and let a step install it"
            yield recipe.problem(at, "install on a base AMI", "a distribution as the base", hint)


def _check_languages(recipe: Recipe) -> Iterable[Problem]:
    for key, value in (("python", recipe.python), ("node", recipe.node)):
        if value is not None and recipe.base.ami is not None:
            hint = "what runs them is not locked there: install them in a step, from artifacts"
            yield recipe.problem((key,), f"{key} on a base AMI", "a distribution as the base", hint)


def _check_stages(recipe: Recipe) -> Iterable[Problem]:
    used = {name for _, name in _taken(recipe)}
    takes: dict[str, list[tuple[At, str]]] = {}
    for name in recipe.stages:
        at: At = ("stages", name)
        stage = recipe.stage(name)
        if recipe.base.ami is not None:
            instead = "build it on a distribution, and take it from there as an artifact"
            yield recipe.problem(at, "a stage on a base AMI", "a distribution as the base", instead)
        yield from _check_repeats(stage)
        yield from _check_owners(stage)
        takes[name] = [((*at, *place), other) for place, other in _taken(stage)]
        used.update(other for _, other in takes[name] if other != name)
    for at, name in [*_taken(recipe), *(one for ones in takes.values() for one in ones)]:
        if name not in recipe.stages:
            near = close_to(name, recipe.stages)
            yield recipe.problem(at, f"the stage {name!r}, which does not exist", "a key of `stages`", near)
    yield from _circles(recipe, takes)
    for unused in sorted(recipe.stages.keys() - used):
        found = f"the stage {unused!r}, from which nothing is taken"
        hint = f"app or files take from it: {{from: {unused}, source: …, target: …}}; or leave it out"
        yield (recipe.document.origin or recipe.document).problem(
            ("stages", unused), found, "a stage that is used", hint, key=True
        )


def _taken(recipe: Recipe) -> list[tuple[At, str]]:
    """Return where a recipe or a stage takes from a stage, and from which."""
    entries: list[tuple[At, str | None]] = [
        (("files", n, "from"), entry.from_) for n, entry in enumerate(recipe.files)
    ]
    if recipe.app is not None:
        entries.append((("app", "from"), recipe.app.from_))
    return [(at, name) for at, name in entries if name is not None]


def _circles(recipe: Recipe, takes: Mapping[str, list[tuple[At, str]]]) -> Iterable[Problem]:
    """Yield a problem for each circle of stages, where its first one in the recipe takes from the next."""
    known: set[str] = set()

    def search(path: tuple[str, ...], at: At) -> Iterable[Problem]:
        name = path[-1]
        if name in path[:-1]:
            if path[0] == name and not known & set(path):
                known.update(path)
                found = f"stages in a circle: {' → '.join(path)}"
                yield recipe.problem(at, found, "stages that can be built one after another")
            return
        for place, other in takes.get(name, ()):
            yield from search((*path, other), at or place)

    for name in takes:
        yield from search((name,), ())


def _check_debconf(recipe: Recipe) -> Iterable[Problem]:
    seen: set[tuple[str, str]] = set()
    for number, answer in enumerate(recipe.debconf):
        at: At = ("debconf", number)
        if recipe.base.ami is not None:
            hint = "let a step run debconf-set-selections, or configure the package with files"
            yield recipe.problem(at, "debconf on a base AMI", "a distribution as the base", hint)
        if (answer.package, answer.question) in seen:
            yield recipe.problem(at, f"{answer.question!r} again", "each question once")
        seen.add((answer.package, answer.question))


def _check_services(recipe: Recipe) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    for key in ("enable", "disable", "mask"):
        for number, name in enumerate(getattr(recipe.services, key)):
            unit = name if "." in name else f"{name}.service"
            if unit in seen:
                at = ("services", key, number)
                yield recipe.problem(at, f"{name!r} again", f"each service once: {seen[unit]} has it")
            seen[unit] = key


def _check_configuration(recipe: Recipe) -> Iterable[Problem]:
    if recipe.configuration is None:
        return
    places: list[tuple[At, Any]] = [(("configuration",), recipe.configuration)]
    places += [
        (("configuration", "secrets", name), one) for name, one in recipe.configuration.secrets.items()
    ]
    for at, entry in places:
        yield from _known(recipe, "user", entry.owner, (*at, "owner"))
        yield from _known(recipe, "group", entry.group, (*at, "group"))
    for number, name in enumerate(recipe.configuration.services):
        if name.endswith((".socket", ".timer", ".target", ".path", ".mount")):
            yield recipe.problem(("configuration", "services", number), repr(name), "the name of a service")


def _check_root(recipe: Recipe) -> Iterable[Problem]:
    """What a root on an instance store cannot be: EC2 user guide, "Root volume type"."""
    if recipe.root_volume.device != "instance-store":
        return
    if recipe.base.ami is not None:
        hint = "a builder instance bakes on its own EBS volume, and makes a snapshot of that"
        yield recipe.problem(
            ("base", "ami"), "a base AMI with a root on an instance store", "debian or ubuntu", hint
        )
    if recipe.architecture != "x86_64":
        hint = "the instance types that start from an instance store are all older than AWS's Arm processors"
        yield recipe.problem(
            ("architecture",), f"{recipe.architecture} with a root on an instance store", "x86_64", hint
        )
    if recipe.root_volume.size > INSTANCE_STORE_LARGEST:
        hint = "that is the most that EC2 takes for a root on an instance store"
        yield recipe.problem(
            ("root_volume", "size"),
            f"{written_size(recipe.root_volume.size)} on an instance store",
            f"at most {written_size(INSTANCE_STORE_LARGEST)}",
            hint,
        )
    if recipe.volumes:
        hint = "EC2 attaches no EBS volumes when it launches an AMI with its root on an instance store"
        yield recipe.problem(("volumes",), "volumes beside a root on an instance store", "no volumes", hint)
    if recipe.instance_store is not None:
        hint = "the types that start from an instance store have no NVMe disks"
        yield recipe.problem(
            ("instance_store",), "scratch on NVMe with a root on an instance store", "no instance_store", hint
        )


def _check_storage(recipe: Recipe) -> Iterable[Problem]:
    disks: list[tuple[At, Volume | InstanceStore]] = [
        (("volumes", number), volume) for number, volume in enumerate(recipe.volumes)
    ]
    if recipe.instance_store is not None:
        disks.append((("instance_store",), recipe.instance_store))
    mounts = [(at, disk.mount) for at, disk in disks if disk.mount is not None]
    for at, disk in disks:
        yield from _known(recipe, "user", disk.owner, (*at, "owner"))
        yield from _known(recipe, "group", disk.group, (*at, "group"))
        for number, name in enumerate(disk.services):
            if name.endswith((".socket", ".timer", ".target", ".path", ".mount")):
                yield recipe.problem((*at, "services", number), repr(name), "the name of a service")
    for at, mount in mounts:
        outer = next((other for _, other in mounts if mount.startswith(f"{other}/")), None)
        if outer is not None:
            expected = "volumes that are not mounted inside each other"
            yield recipe.problem((*at, "mount"), f"{mount!r}, which is in {outer!r}", expected)
        if at == ("instance_store",) and mount in {other for place, other in mounts if place != at}:
            yield recipe.problem((*at, "mount"), f"{mount!r} a second time", "a mount point of its own")
    yield from _hidden(recipe, [mount for _, mount in mounts])
    if recipe.swap is not None and recipe.swap > recipe.root_volume.size // 2:
        hint = "make root_volume larger"
        yield recipe.problem(("swap",), "swap of more than half the root volume", "less than that", hint)


def _hidden(recipe: Recipe, mounts: Sequence[str]) -> Iterable[Problem]:
    """What the recipe puts where a volume is mounted over it, nobody would ever see."""
    targets: list[tuple[At, str]] = [
        (("files", number, "target"), file.target) for number, file in enumerate(recipe.files)
    ]
    if recipe.app is not None:
        targets.append((("app", "target"), recipe.app.target))
    for key in ("python", "node"):
        if (part := getattr(recipe, key)) is not None:
            targets.append(((key, "target"), part.target))
    targets += [
        (("artifacts", number, "target"), artifact.target)
        for number, artifact in enumerate(recipe.artifacts)
        if artifact.target is not None
    ]
    for at, target in targets:
        mount = next((mount for mount in mounts if f"{target}/".startswith(f"{mount}/")), None)
        directory = at[0] == "files" and recipe.files[int(at[1])].directory
        if mount is not None and not (directory and target == mount):
            yield recipe.problem(
                at, f"{target!r}, over which a volume is mounted", f"a path outside of {mount}"
            )
