"""What can be set: the keys, their defaults and their rules, the same in environments.yaml and as CDK context."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from stacks import readers

RecipeName = Annotated[str, BeforeValidator(readers.text(r"[a-z][a-z0-9-]{0,39}", "a recipe's name"))]
Place = Annotated[
    str,
    BeforeValidator(
        # A word of its own from the first day, so that `instance` will be one more choice and not another key.
        readers.text("host", "host, the machine that deploys; a builder instance cannot bake yet")
    ),
]
InstanceType = Annotated[str, BeforeValidator(readers.instance_type)]
Count = Annotated[int, BeforeValidator(readers.number(0, 1000))]
Most = Annotated[int, BeforeValidator(readers.number(1, 1000))]
Seconds = Annotated[int, BeforeValidator(readers.number(0, 7200))]
ShortSeconds = Annotated[int, BeforeValidator(readers.number(0, 3600))]
Percentage = Annotated[int, BeforeValidator(readers.number(100, 200))]
Flag = Annotated[bool, BeforeValidator(readers.flag)]
Network = Annotated[str, BeforeValidator(readers.network)]
UrlPath = Annotated[str, BeforeValidator(readers.text(r"/[!-~]{0,1023}", "a path that begins with /"))]
Account = Annotated[str, BeforeValidator(readers.text(r"[0-9]{12}", "an AWS account id of 12 digits"))]
Region = Annotated[
    str, BeforeValidator(readers.text(r"[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1"))
]


class Settings(BaseModel):
    """One deployment's settings. Every key has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # -- where
    account: Account | None = None
    """The account that the stacks deploy to, and no other. Default: the caller's, CDK_DEFAULT_ACCOUNT."""
    region: Region | None = None
    """The region that the stacks deploy to. Default: the caller's, CDK_DEFAULT_REGION."""

    # -- image and builder
    recipe: RecipeName = "web"
    """The recipe whose clones the fleet runs."""
    builder: Place = "host"
    """Where images are baked."""
    builder_instance_type: InstanceType = "c7i.large"
    """The builder instance's type."""
    builder_vpc_cidr: Network = "172.21.0.0/24"
    """The builder's addresses; the local cloud needs them within 160.0.0.0/4."""
    test_instance_type: InstanceType = "t3.small"
    """The type of test clones."""

    # -- clones
    instance_type: InstanceType = "t3.small"
    """The clones' instance type."""
    min_clones: Count = 2
    """The group's minimum."""
    max_clones: Most = 4
    """The group's maximum."""
    desired_clones: Count | None = None
    """The group's size, set anew by each deployment. Default: left as it is, at first the minimum."""
    health_path: UrlPath = "/healthz"
    """Answers 200 when a clone is well."""
    health_grace_seconds: Seconds = 300
    """How long a new clone may take until it is well."""
    deregistration_seconds: ShortSeconds = 15
    """How long a clone that goes may finish its requests."""

    # -- refresh
    warm_up_seconds: ShortSeconds = 30
    """How long a new clone serves before an old one goes."""
    refresh_max_healthy_percentage: Percentage = 200
    """How far an instance refresh may exceed the group's size; 150: half of the clones at a time."""

    # -- network
    internet_facing: Flag = True
    """Whether the load balancer has public addresses."""
    egress: Flag = False
    """Whether clones may reach the Internet, by a NAT gateway."""
    vpc_cidr: Network = "172.20.0.0/16"
    """The fleet's addresses; the local cloud needs them within 160.0.0.0/4."""
