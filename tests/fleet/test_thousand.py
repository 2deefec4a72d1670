"""A fleet of 1,000: each clone is asked, within the rates that EC2 documents; the changed ones are found.

The instances are records of the local cloud; their consoles, and the limits of GetConsoleOutput, are those of
the proxy before it. Time is driven, so that waiting for a turn takes none.
"""

from __future__ import annotations

import threading

import pytest

from ingot import retry
from ingot.aws.publish.publish import publish
from ingot.cli.terminal.fleets import show
from ingot.cli.terminal.verdicts import fleet_lines, fleet_summary
from ingot.fleet.status import fleet_status
from ingot.fleet.verify import VerifyOptions, verify_fleet
from ingot.retry import driven_by
from tests.aws.driven_clock import DrivenClock
from tests.aws.support import inventory_line, make_image
from tests.fleet.support import deploy_fleet, remove_fleet

pytestmark = pytest.mark.slow

FLEET, CHANGED, THROTTLED = 1000, 3, 500


def quiet(_message):
    """Progress that nobody reads."""


class Limits:
    """GetConsoleOutput's bucket: 100 requests, 20 more a second. Of some instances the first is refused."""

    def __init__(self, refused_first):
        self.refused_first = set(refused_first)
        self.tokens, self.at = 100.0, retry.now()
        self.refused = 0
        self.lock = threading.Lock()

    def __call__(self, operation, form):
        if operation != "GetConsoleOutput":
            return ""
        with self.lock:
            now = retry.now()
            self.tokens, self.at = min(100.0, self.tokens + (now - self.at) * 20), now
            [instance] = form["InstanceId"]
            if self.tokens < 1 or instance in self.refused_first:
                self.refused_first.discard(instance)
                self.refused += 1
                return "RequestLimitExceeded"
            self.tokens -= 1
            return ""


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", "b"]))


@pytest.fixture
def fleet(image, clients, direct, settings, proxy):
    """The ids of the fleet's instances."""
    published = publish(image, clients, settings, quiet)
    deploy_fleet(direct, proxy, published.ami_id, image.digest, size=FLEET)
    [group] = direct.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    ids = sorted(member["InstanceId"] for member in group["Instances"])
    assert len(ids) == FLEET
    yield ids
    remove_fleet(direct)


def test_exactly_the_changed_clones_are_found_though_half_are_throttled(
    fleet, image, clients, proxy, known, tmp_path, capsys
):
    changed = set(fleet[7 :: FLEET // CHANGED][:CHANGED])
    good, bad = inventory_line(image), inventory_line(image, differs={"files": ["/usr/sbin/x added"]})
    proxy.console = lambda instance: bad if instance in changed else good

    def verify(**options):
        return verify_fleet(
            clients,
            "IngotFleet",
            manifest_of=known.get,
            progress=quiet,
            options=VerifyOptions(max_age=7200, **options),
        )

    clock = DrivenClock()
    with driven_by(clock):
        proxy.limits = Limits(refused_first=fleet[::2])
        verdict = verify(kept=tmp_path / "kept")
        assert proxy.limits.refused >= THROTTLED
        assert {clone.instance_id for clone in verdict.clones if not clone.ok} == changed
        assert len(verdict.clones) == FLEET
        assert not list((tmp_path / "kept").iterdir())
    lines = "\n".join(fleet_lines(verdict)).splitlines()
    assert lines[0].startswith("997 clones ")
    assert "3 clones" in lines[1]
    assert "DIFFERS" in lines[1]
    assert lines[2:] == ["  " + ", ".join(sorted(changed)), "  sections: files", "  /usr/sbin/x added"]
    assert fleet_summary(verdict) == "997 of 1000 clones equal their manifest"

    clock = DrivenClock()
    with driven_by(clock):  # without refusals, by EC2's own limits
        proxy.limits = Limits(refused_first=())
        sample = verify(sample=60)
        assert len(sample.clones) == 60
        assert sample.most_bad >= CHANGED

    proxy.seen.clear()
    status = fleet_status(clients, "IngotFleet")
    assert len(status.clones) == FLEET
    assert proxy.seen["DescribeInstances"] == FLEET / 200, "200 values in a filter"
    show(status)
    table = capsys.readouterr().out
    assert "1,000 clones" in table
    assert len(table.splitlines()) < 20
