"""What a publisher does, in scenes; and how it is seen that a scene needs a permission."""

import hashlib
import itertools
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from ingot.aws.instances.offers import Use, require_types
from ingot.aws.publish.publish import publish
from ingot.aws.publish.settings import PublishSettings, clone_settings
from ingot.aws.registry import entries
from ingot.errors import IngotError, PublishError
from ingot.pipeline import deploy
from ingot.retry import driven_by
from tests.audit.account import without
from tests.aws.driven_clock import DrivenClock
from tests.aws.support import holdings, make_image, result_line

NUMBERS = itertools.count()


def quiet(_message):
    """Progress that nobody reads."""


class Publisher:
    """The scenes of a publish. Each raises when something is refused, or leaves something behind."""

    def __init__(self, account, consoles, directory):
        self.account, self.consoles, self.directory = account, consoles, directory
        self.known = {}

    def image(self):
        """An image that was never published, a child of all others."""
        number = str(next(NUMBERS))
        image = make_image(self.directory, ["a", None, number], name=number)
        self.known[image.digest] = image.manifest
        return image

    def settings(self, clients):
        return PublishSettings(
            self.directory / "records",
            replace(clone_settings(clients, "IngotBuilder"), limit=60.0),
            manifest_of=self.known.get,
            pace=0.01,
        )

    def publishes(self, clients):
        image = self.image()
        self.consoles.console = lambda _instance: result_line(image)
        published = publish(image, clients, self.settings(clients), quiet)
        self.nothing_in_progress()
        self.newest = image
        return published

    def cleans_up(self, clients):
        """A test fails: clone, AMI and snapshot go again."""
        image = self.image()
        self.consoles.console = lambda _instance: result_line(image, failing="apache runs")
        before = holdings(self.account.root)
        with pytest.raises(PublishError, match="1 of 2 tests failed") as caught:
            publish(image, clients, self.settings(clients), quiet)
        assert "still there" not in str(caught.value)
        assert holdings(self.account.root) == before

    def repairs(self, clients):
        """An entry whose AMI is gone is replaced."""
        image = self.image()
        self.consoles.console = lambda _instance: result_line(image)
        settings = self.settings(clients)
        first = publish(image, clients, settings, quiet)
        self.account.root.ec2.deregister_image(ImageId=first.ami_id)
        publish(image, clients, settings, quiet)

    def takes_back(self, clients):
        """An error after the entry was put: it goes again, then what it names."""
        image = self.image()
        self.consoles.console = lambda _instance: result_line(image)
        self.consoles.fail("PutParameter", lost=True, code="ValidationException", times=1)
        before = holdings(self.account.root)
        try:
            with pytest.raises(PublishError, match="PutParameter was refused: ValidationException") as caught:
                publish(image, clients, self.settings(clients), quiet)
        finally:
            self.consoles.heal()
        assert "still there" not in str(caught.value)
        assert holdings(self.account.root) == before

    def deploys(self, clients):
        """What `ingot deploy` asks besides."""
        assert deploy.has_parameter(clients, "/cdk-bootstrap/hnb659fds/version")
        assert deploy.template_digest(clients, "IngotBuilder")
        assert deploy.template_digest(clients, "IngotNothing") is None
        assert entries.lookup(clients.ssm, "web", hashlib.sha256(b"none").hexdigest()) is None
        require_types(clients, [Use("Clones", ("t3.small",), (0, 1))])

    def nothing_in_progress(self):
        for image in self.account.root.ec2.describe_images(Owners=["self"])["Images"]:
            assert {"Key": "ingot:state", "Value": "published"} in image["Tags"]

    @property
    def scenes(self):
        return [self.publishes, self.cleans_up, self.repairs, self.takes_back, self.deploys]


def fails_without(account, policy, number, action, scenes, *others):
    """See that without one action of one statement at least one of the scenes fails, and
    that it is for this.
    """
    assert scenes, f"nothing asks for {action}"
    account.denied()
    reduced = account.clients_with(without(policy, number, action), *others)
    failed = []
    for scene in scenes:
        try:
            with driven_by(DrivenClock()):  # a refusal is asked again for three minutes while tags may lag
                scene(reduced)
        except (ClientError, IngotError, AssertionError) as error:
            failed.append(error)
            break
    denied = {access.action for access in account.denied()}
    sweep(account)
    assert failed, f"{policy['Statement'][number]['Sid']} does not need {action}"
    assert action in denied, f"failed for another reason: {failed}"


def sweep(account):
    """Root removes what a publish that was not allowed to clean up left."""
    ec2 = account.root.ec2
    unfinished = [{"Name": "tag:ingot:state", "Values": ["in-progress"]}]
    for reservation in ec2.describe_instances(Filters=unfinished)["Reservations"]:
        ec2.terminate_instances(InstanceIds=[i["InstanceId"] for i in reservation["Instances"]])
    for image in ec2.describe_images(Owners=["self"], Filters=unfinished)["Images"]:
        ec2.deregister_image(ImageId=image["ImageId"])
    for shot in ec2.describe_snapshots(OwnerIds=["self"], Filters=unfinished)["Snapshots"]:
        ec2.delete_snapshot(SnapshotId=shot["SnapshotId"])
