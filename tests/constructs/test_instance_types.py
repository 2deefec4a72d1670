"""What an instance type's name says."""

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from ingot.constructs.instance_types import architecture_of, boots_image, chosen_types
from ingot.errors import InputError


@pytest.mark.parametrize(
    "name",
    [
        "t4g.small",
        "m7g.large",
        "c6gn.xlarge",
        "r6gd.2xlarge",
        "im4gn.large",
        "is4gen.large",
        "x2gd.medium",
        "a1.large",
        "g5g.xlarge",
        "hpc7g.4xlarge",
        "c8gb.large",
        "p6e-gb200.36xlarge",
    ],
)
def test_graviton(name):
    assert architecture_of(name) == "arm64"


@pytest.mark.parametrize(
    "name",
    [
        "t3.small",
        "m7i.large",
        "m7i-flex.large",
        "g4dn.xlarge",
        "g6.xlarge",
        "gr6.4xlarge",
        "u7i-12tb.224xlarge",
        "p5en.48xlarge",
        "inf2.xlarge",
        "trn1.2xlarge",
        "i4i.large",
        "hpc7a.12xlarge",
        "u-6tb1.56xlarge",
    ],
)
def test_the_others(name):
    assert architecture_of(name) == "x86_64"


def test_the_default_follows_the_architecture():
    assert chosen_types("fleet", None, "x86_64") == ["t3.small"]
    assert chosen_types("fleet", None, "arm64", ("m7g.large",)) == ["t4g.small", "m7g.large"]


@pytest.mark.parametrize(
    ("name", "architecture", "message"),
    [
        (
            "m7g.large",
            "x86_64",
            "fleet: m7g.large is an arm64 machine, and the recipe is for x86_64",
        ),
        (
            "t3.small",
            "arm64",
            "fleet: t3.small is an x86_64 machine, and the recipe is for arm64",
        ),
        (
            "t2.micro",
            "x86_64",
            "fleet: t2.micro does not boot by UEFI from an NVMe disk",
        ),
        ("m7i.metal-24xl", "x86_64", "fleet: m7i.metal-24xl does not boot by UEFI"),
        ("i3.metal", "x86_64", "fleet: i3.metal does not boot by UEFI"),
        ("g4ad.xlarge", "x86_64", "fleet: g4ad.xlarge does not boot by UEFI"),
        ("u-6tb1.56xlarge", "x86_64", "fleet: u-6tb1.56xlarge does not boot by UEFI"),
    ],
)
def test_types_on_which_the_image_does_not_boot(name, architecture, message):
    with pytest.raises(InputError) as caught:
        chosen_types("fleet", name, architecture)
    assert str(caught.value).startswith(message)
    assert "such as t" in str(caught.value)


def test_the_table_says_of_every_type_what_ec2_says():
    """moto has EC2's own answers of DescribeInstanceTypes."""
    assert len(INSTANCE_TYPES) > 1000
    wrong = [
        name
        for name, known in INSTANCE_TYPES.items()
        if boots_image(name)
        != (
            "uefi" in known.get("SupportedBootModes", [])
            and known.get("EbsInfo", {}).get("NvmeSupport") != "unsupported"
        )
    ]
    assert not wrong


def test_the_further_types_are_checked_as_well():
    with pytest.raises(InputError, match=r"m7g.large is an arm64 machine"):
        chosen_types("fleet", "t3.small", "x86_64", ("m7a.large", "m7g.large"))
