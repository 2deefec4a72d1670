"""A fleet of other AMIs than those that its digest was published as: refused, with what is wrong."""

from __future__ import annotations

import pytest

from ingot.aws.publish.publish import publish
from ingot.aws.session import tags
from ingot.cli.main import main
from ingot.errors import VerificationError
from ingot.fleet.status import fleet_status
from ingot.fleet.verify import VerifyOptions, verify_fleet
from ingot.recipe.asset import registry_parameter
from tests.aws.conftest import KEYS
from tests.aws.support import inventory_line, make_image
from tests.fleet.support import deploy_fleet, remove_fleet


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", "b"]))


@pytest.fixture
def published(image, clients, settings, proxy):
    published = publish(image, clients, settings, quiet)
    proxy.console = lambda _instance: inventory_line(image)
    return published


@pytest.fixture
def deployed(image, published, direct, proxy):
    """A fleet of one clone of the published AMI."""
    deploy_fleet(direct, proxy, published.ami_id, image.digest)
    yield
    remove_fleet(direct)


@pytest.fixture
def command(proxy, monkeypatch, tmp_path, capsys):
    """Run a command of Ingot's; return its exit code and what it prints."""
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["aws_secret_access_key"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def run(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return ended.value.code, *capsys.readouterr()

    return run


def verify(clients, known):
    clients.recent.forget_everything()  # what was published a moment ago may be gone: it was another day
    options = VerifyOptions(limit=1)
    return verify_fleet(clients, "IngotFleet", manifest_of=known.get, progress=quiet, options=options)


def test_a_fleet_of_the_published_image_is_right(deployed, clients, known, command):
    assert verify(clients, known).ok
    code, out, err = command("status")
    assert code == 0, err
    assert "InService" in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({tags.STATE: tags.UNTESTED}, "its ingot:state is untested, not published"),
        ({tags.RECIPE: "api"}, "its ingot:recipe is api, not web"),
        (
            {tags.ROOT_DIGEST: "0" * 64},
            f"its ingot:root-digest is {'0' * 64}, the manifest on this machine says",
        ),
    ],
)
def test_a_clone_of_an_ami_that_is_something_else_is_named(
    changes, said, deployed, published, direct, clients, known
):
    direct.ssm.delete_parameter(Name=registry_parameter("web", published.digest))
    direct.ec2.create_tags(Resources=[published.ami_id], Tags=tags.tag_list(changes))
    [clone] = verify(clients, known).clones
    assert not clone.ok
    assert f"{published.ami_id} is not the image of web {published.digest[:12]}: " in clone.problem
    assert said in clone.problem


def test_the_status_of_a_fleet_of_another_ami_is_shown_and_refused(
    deployed, published, direct, clients, command
):
    direct.ssm.delete_parameter(Name=registry_parameter("web", published.digest))
    direct.ec2.create_tags(Resources=[published.ami_id], Tags=tags.tag_list({tags.STATE: tags.UNTESTED}))
    code, out, err = command("status")
    assert (code, "InService" in out) == (1, True)
    [clone] = fleet_status(clients, "IngotFleet").clones
    assert f"{clone.instance_id}: {published.ami_id} is not the image of web" in err
    assert "its ingot:state is untested, not published" in err


@pytest.fixture
def renamed_entry(deployed, published, direct, tmp_path, clients, settings, passing, image, proxy):
    """The registry names another image's AMI for the fleet's digest."""
    other = publish(passing(make_image(tmp_path, ["x"], name="other")), clients, settings, quiet)
    proxy.console = lambda _instance: inventory_line(image)
    name = registry_parameter("web", published.digest)
    direct.ssm.put_parameter(Name=name, Value=other.ami_id, Overwrite=True)
    return f"the registry's entry {name} names {other.ami_id}, which is not the image of web"


def test_an_entry_that_names_another_ami_is_refused_by_status_and_verify(
    renamed_entry, clients, known, command
):
    with pytest.raises(VerificationError, match=renamed_entry):
        verify(clients, known)
    for words in (("status",), ("status", "--json"), ("verify", "fleet", "--timeout", "1")):
        code, _, err = command(*words)
        assert (code, renamed_entry in err) == (1, True), (words, err)
