"""What packages' scripts find when they run, in one real bake: as with dpkg."""

import logging
import os
import shutil

import pytest

from ingot.bake.disk import read_ext4
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from tests.baked import baked_store
from tests.recipe.archive import Signer, build_package, served, write_flat_archive

__all__ = ["baked_store"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files"),
    pytest.mark.skipif(shutil.which("gpg") is None, reason="signing a test archive needs gpg"),
]
RECIPE = """\
name: scripts
base: {debian: bookworm}
root_volume: {size: 2GiB}
packages: [z-last]
debconf:
  - {package: z-last, question: z-last/question, value: an answer in words}
  - {package: a-first, question: a-first/agreed, type: boolean, value: true}
apt_sources: [{name: example, uri: "URI", suite: ./, key: key.asc}]
"""
# Says on each line what a script finds.
PREINST = """\
#!/bin/sh
set -e
. /usr/share/debconf/confmodule
db_input low @NAME@/question || true
db_go
mkdir -p /var/lib/told
{
    echo "called $0 $*"
    echo "needs $(dpkg-query --show --showformat '${db:Status-Status}' @NEEDED@)"
    if [ -e /usr/share/@NAME@ ]; then echo "own files are there"; fi
    echo "package $DPKG_MAINTSCRIPT_PACKAGE $DPKG_MAINTSCRIPT_NAME"
    db_get @NAME@/question
    echo "answer $RET"
    echo "control $(sed -n 's/^Package: //p' /var/lib/dpkg/tmp.ci/control)"
} > /var/lib/told/@NAME@
"""
TEMPLATES = (
    "Template: NAME/question\nType: string\nDefault: none\nDescription: x\n\n"
    "Template: NAME/agreed\nType: boolean\nDefault: false\nDescription: x\n"
)


def asks(directory, name, needed):
    """A package whose preinst asks a question, and needs another one for it."""
    return build_package(
        directory,
        name,
        {f"usr/share/{name}": "x"},
        fields=f"Pre-Depends: {needed}, debconf\n",
        control_files={
            "preinst": PREINST.replace("@NAME@", name).replace("@NEEDED@", needed),
            "templates": TEMPLATES.replace("NAME", name),
        },
    )


@pytest.fixture(scope="module")
def reports(baked_store, tmp_path_factory):
    """What each script found, by package, and debconf's answers, from the finished disk."""
    work = tmp_path_factory.mktemp("scripts")
    archive, directory = work / "archive", work / "scripts"
    archive.mkdir()
    directory.mkdir()
    configured = {"postinst": "#!/bin/sh\nsed -n 's/.*/&/p' /usr/share/helper > /var/lib/helper\n"}
    # By name the first would be unpacked first.
    stanzas = [
        build_package(archive, "helper", {"usr/share/helper": "x"}, control_files=configured),
        asks(archive, "a-first", "helper"),
        asks(archive, "z-last", "a-first"),
    ]
    signer = Signer()
    try:
        write_flat_archive(archive, "".join(stanzas), signer)
        signer.gpg("--armor", "--output", str(directory / "key.asc"), "--export")
    finally:
        signer.close()
    with served(archive) as uri:
        (directory / "recipe.yaml").write_text(RECIPE.replace("URI", uri))
        recipe = load_recipe(directory)
        write_lock(recipe, resolve_lock(recipe))
        image = baked_store.bake(recipe, logging.getLogger("bake").info)
    with read_ext4(image.disk) as reader:
        found = {name: reader.read(f"/var/lib/told/{name}").decode() for name in ("a-first", "z-last")}
        found["debconf"] = reader.read("/var/cache/debconf/config.dat").decode()
        found["paths"] = "\n".join(entry.path for entry in reader.entries(hashes=False))
    return found


@pytest.mark.parametrize("name", ["a-first", "z-last"])
def test_a_preinst_runs_from_the_unpacked_control_part(reports, name):
    lines = reports[name].splitlines()
    assert "called /var/lib/dpkg/tmp.ci/preinst install" in lines
    assert f"package {name} preinst" in lines
    assert f"control {name}" in lines
    assert "/var/lib/dpkg/tmp.ci" not in reports["paths"].splitlines()


@pytest.mark.parametrize("name", ["a-first", "z-last"])
def test_a_preinst_finds_its_pre_dependency_configured_and_not_its_own_files(reports, name):
    assert "needs installed" in reports[name].splitlines()
    assert "own files are there" not in reports[name]


def test_the_recipe_answers_questions_before_they_are_asked(reports):
    assert "answer an answer in words" in reports["z-last"].splitlines()
    assert "answer none" in reports["a-first"].splitlines()
    (agreed,) = [text for text in reports["debconf"].split("\n\n") if "Name: a-first/agreed" in text]
    assert "Value: true" in agreed.splitlines()


def test_a_question_of_a_preinst_is_its_package_s(reports):
    answers = reports["debconf"].split("\n\n")
    for name in ("a-first", "z-last"):
        (answer,) = [text for text in answers if f"Name: {name}/question" in text]
        assert f"Owners: {name}" in answer.splitlines()
    assert "unknown" not in reports["debconf"]
