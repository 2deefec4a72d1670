"""The shared store that environments.yaml names, and what nobody pays who names none."""

import subprocess
import sys

import pytest

from ingot.errors import InputError
from ingot.pipeline.bake import open_store
from tests import ROOT


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    return (tmp_path / "environments.yaml").write_text


@pytest.mark.parametrize("text", [None, "", "defaults: {}\nenvironments:\n  store: {min_clones: 1}\n"])
def test_who_names_none_loads_nothing_of_aws(text, write, tmp_path):
    if text is not None:
        write(text)
    code = (
        "import sys; from ingot.pipeline.bake import open_store; open_store();"
        " print(sorted(name for name in sys.modules if name.startswith(('boto', 'ingot.aws'))))"
    )
    environment = {"PYTHONPATH": str(ROOT), "INGOT_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "[]\n"


def test_naming_one_asks_nothing(write, monkeypatch):
    """There are no credentials, and no region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    write('store: s3://company-images/ingot\nstore_owner: "111122223333"\n')
    assert open_store().all_images() == []


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("defaults: {}\nstore: images\n", "environments.yaml:2:8", "'images'"),
        ("store: s3://b/../x\n", "environments.yaml:1:8", "s3://b/../x"),
        ("store: [s3://bucket]\n", "environments.yaml:1:8", "bucket"),
        ("store: s3://bucket\nstore_owner: 111122223333\n", "environments.yaml:2:14", "111122223333"),
    ],
)
def test_one_that_cannot_be_is_said_with_its_place(write, text, place, said):
    write(text)
    with pytest.raises(InputError) as caught:
        open_store()
    assert place in str(caught.value)
    assert said in str(caught.value)
