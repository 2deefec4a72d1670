"""Types and zones against what EC2 says of them: moto has EC2's own answers."""

import pytest

from ingot.aws.instances.offers import Use, require_types
from ingot.errors import InputError


def offered_in(direct, kind):
    answer = direct.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [kind]}]
    )
    return sorted(offer["Location"] for offer in answer["InstanceTypeOfferings"])


def test_types_that_run_everywhere_pass(direct):
    asked = []
    direct.ec2.meta.events.register(
        "before-parameter-build.ec2.*", lambda params, model, **_: asked.append((model.name, params))
    )
    require_types(
        direct, [Use("Fleet", ("t3.small", "m7i.large"), ("us-east-1a", 1)), Use("Test", ("t4g.small",))]
    )
    of_types = [{"Name": "instance-type", "Values": ["m7i.large", "t3.small", "t4g.small"]}]
    assert [(name, params.get("Filters")) for name, params in asked] == [
        ("DescribeInstanceTypes", of_types),
        ("DescribeInstanceTypeOfferings", of_types),
        ("DescribeAvailabilityZones", None),
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("p4d.24xlarge", "boots by legacy-bios only; images boot by UEFI"),
        ("vt1.3xlarge", "boots by legacy-bios only"),
        ("u-6tb1.56xlarge", "boots by legacy-bios only"),
        ("m5.metal", "boots by legacy-bios only"),
        ("t9.small", "does not exist in us-east-1"),
    ],
)
def test_types_on_which_the_image_does_not_boot(direct, kind, message):
    with pytest.raises(InputError) as caught:
        require_types(direct, [Use("IngotFleet/Web", (kind,))])
    assert f"IngotFleet/Web: the instance type {kind} {message}" in str(caught.value)


def test_types_of_two_architectures(direct):
    with pytest.raises(InputError, match=r"Fleet: t3.small, t4g.small are of several architectures"):
        require_types(direct, [Use("Fleet", ("t3.small", "t4g.small"))])


def test_a_zone_that_does_not_offer_the_type(direct):
    places = offered_in(direct, "m7g.large")
    assert places
    assert "us-east-1e" not in places
    with pytest.raises(InputError) as caught:
        require_types(direct, [Use("Fleet", ("m7g.large",), ("us-east-1e",))])
    assert "Fleet: the zone us-east-1e does not offer m7g.large; offered in: us-east-1a" in str(caught.value)
    # Another type of the group may run there.
    require_types(direct, [Use("Fleet", ("m7g.large", "t4g.small"), (places[0],))])


@pytest.mark.parametrize("zone", ["us-east-1-bos-1a", "us-east-1-wl1-bos-wlz-1"])
def test_zones_without_uefi(direct, zone):
    with pytest.raises(InputError, match=f"Fleet: {zone} is no availability zone of the region; images boot"):
        require_types(direct, [Use("Fleet", ("t3.small",), (zone,))])


def test_more_zones_than_the_region_has(direct):
    with pytest.raises(InputError, match=r"it spreads over 41 zones; the region has 6"):
        require_types(direct, [Use("Fleet", ("t3.small",), (40,))])


def test_types_where_the_root_may_be_on_an_instance_store(direct):
    for types in (("m3.medium", "r3.large"), ("t3.small", "m7i.large")):
        require_types(direct, [Use("Fleet", types, maps_volumes=False)])
    with pytest.raises(InputError) as caught:
        require_types(direct, [Use("Fleet", ("m3.medium", "t3.small"), maps_volumes=False)])
    assert "Fleet: the instance type m3.medium boots by legacy-bios only" in str(caught.value)
    assert "t3.small" not in str(caught.value)
