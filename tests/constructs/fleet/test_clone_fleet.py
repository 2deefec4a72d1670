import json

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Match, Template

from ingot.constructs import CloneFleet, GoldenImage, Refresh
from ingot.errors import InputError
from tests.constructs.recipes import write_recipe


def one(template: Template, kind: str) -> dict:
    [resource] = template.find_resources(kind).values()
    return resource


def test_required(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    for kind, count in {
        "AWS::EC2::VPC": 1,
        "AWS::EC2::Subnet": 4,
        "AWS::EC2::NatGateway": 0,
        "AWS::EC2::LaunchTemplate": 1,
        "AWS::AutoScaling::AutoScalingGroup": 1,
        "AWS::ElasticLoadBalancingV2::LoadBalancer": 1,
        "AWS::CloudWatch::Alarm": 4,
        "AWS::CloudWatch::Dashboard": 1,
        "AWS::AutoScaling::ScalingPolicy": 1,
        "AWS::AutoScaling::WarmPool": 0,
        "AWS::S3::Bucket": 0,
        "AWS::IAM::Role": 0,
        "AWS::Lambda::Function": 0,
    }.items():
        template.resource_count_is(kind, count)
    group = one(template, "AWS::AutoScaling::AutoScalingGroup")["Properties"]
    assert (group["MinSize"], group["MaxSize"], group["HealthCheckType"]) == ("2", "4", "ELB")
    assert "DesiredCapacity" not in group


def test_clones_require_imdsv2_encrypt_and_have_no_key(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert data["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3", "VolumeSize": 2},
        }
    ]
    assert not {"KeyName", "UserData", "IamInstanceProfile"} & set(data)


def test_the_root_volume_is_rounded_up_to_a_gib(project, stack):
    write_recipe(project, "big", size="2500MiB")
    CloneFleet(stack, "Fleet", image=GoldenImage(stack, "Image", recipe="big"))
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 3


def on_base(project, **devices: str) -> str:
    """Write a recipe on a base AMI, and its lock with the root device's name in each
    region; return its name.
    """
    directory = write_recipe(project, "based")
    recipe = (directory / "recipe.yaml").read_text().replace("{debian: bookworm}", "{ami: {ssm: /aws/x}}")
    (directory / "recipe.yaml").write_text(recipe)
    ami = {"id": "ami-0123456789abcdef0", "owner": "099720109477", "name": "noble", "root_size": 8}
    ami |= {"created": "2026-01-01T00:00:00.000Z", "boot_mode": "uefi-preferred"}
    lock = {"format": 1, "architecture": "x86_64", "source": '{"ssm": "/aws/x"}', "epoch": 1700000000}
    regions = {name.replace("_", "-"): ami | {"root_device": device} for name, device in devices.items()}
    (directory / "recipe.lock").write_text(json.dumps(lock | {"ami": regions}))
    return directory.name


@pytest.mark.parametrize("region", ["eu-west-1", None])
def test_the_root_volume_of_an_image_on_a_base_ami_has_the_bases_name(project, region):
    stack = Stack(App(), "Fleet", env=None if region is None else {"region": region})
    name = on_base(project, eu_west_1="/dev/sda1")
    CloneFleet(stack, "Fleet", image=GoldenImage(stack, "Image", recipe=name))
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert [mapping["DeviceName"] for mapping in data["BlockDeviceMappings"]] == ["/dev/sda1"]


@pytest.mark.parametrize(
    ("region", "where"), [("us-east-1", "us-east-1"), (None, "a stack without a region")]
)
def test_a_root_device_that_the_lock_does_not_name_is_said(project, region, where):
    stack = Stack(App(), "Fleet", env=None if region is None else {"region": region})
    image = GoldenImage(stack, "Image", recipe=on_base(project, eu_west_1="/dev/sda1", eu_west_2="/dev/xvda"))
    with pytest.raises(
        InputError, match=f"what the root device is called in {where}; it has: eu-west-1, eu-"
    ):
        CloneFleet(stack, "Fleet", image=image)


def test_clones_take_connections_from_the_load_balancer_alone(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    groups = template.find_resources("AWS::EC2::SecurityGroup")
    open_to_all = {
        name: group["Properties"]["SecurityGroupIngress"]
        for name, group in groups.items()
        if "SecurityGroupIngress" in group["Properties"]
    }
    [(balancer, rules)] = open_to_all.items()
    assert [(rule["CidrIp"], rule["FromPort"], rule["ToPort"]) for rule in rules] == [("0.0.0.0/0", 80, 80)]
    rule = one(template, "AWS::EC2::SecurityGroupIngress")["Properties"]
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": [balancer, "GroupId"]}
    assert (rule["FromPort"], rule["ToPort"]) == (80, 80)


def test_clones_are_in_subnets_without_a_way_out(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    subnets = {
        reference["Ref"]
        for reference in one(template, "AWS::AutoScaling::AutoScalingGroup")["Properties"][
            "VPCZoneIdentifier"
        ]
    }
    assert len(subnets) == 2
    assert all("Clones" in name for name in subnets)
    # The only routes are those of the public subnets.
    routes = template.find_resources("AWS::EC2::Route")
    assert routes
    assert all("Public" in name for name in routes)


def test_the_group_rolls_by_instance_refresh_to_a_numbered_version(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    group = one(template, "AWS::AutoScaling::AutoScalingGroup")
    version = group["Properties"]["LaunchTemplate"]["Version"]
    assert version["Fn::GetAtt"][1] == "LatestVersionNumber"
    refresh = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    alarms = refresh["Preferences"].pop("AlarmSpecification")["Alarms"]
    assert [alarm["Ref"][:-8] for alarm in alarms] == [
        f"FleetAlarms{name}" for name in ("Errors", "BalancerErrors", "Unhealthy", "Latency")
    ]
    assert refresh == {
        "Strategy": "Rolling",
        "Preferences": {
            "MinHealthyPercentage": 100,
            "MaxHealthyPercentage": 200,
            "InstanceWarmup": 30,
            "SkipMatching": True,
        },
    }


def test_a_new_image_changes_one_line(project):
    def lines() -> list[str]:
        stack = Stack(App(analytics_reporting=False), "Test")
        CloneFleet(stack, "Fleet", image=GoldenImage(stack, "Image", recipe="web"))
        return json.dumps(Template.from_stack(stack).to_json(), indent=1).splitlines()

    before = lines()
    write_recipe(project, motd="changed")
    changed = [new for old, new in zip(before, lines(), strict=True) if old != new]
    assert len(changed) == 1
    assert '"ImageId": "{{resolve:ssm:/ingot/web/' in changed[0]


def test_clones_and_their_disks_are_tagged(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    expected = [{"Key": "ingot:recipe", "Value": "web"}, {"Key": "Name", "Value": "ingot-web"}]
    assert {spec["ResourceType"]: spec["Tags"] for spec in data["TagSpecifications"]} == {
        "instance": expected,
        "volume": expected,
    }


def test_all(stack, image):
    vpc = ec2.Vpc(stack, "Given", max_azs=2, nat_gateways=1)
    CloneFleet(
        stack,
        "Fleet",
        image=image,
        vpc=vpc,
        internet_facing=False,
        egress=True,
        instance_type="m7i.large",
        min_clones=1,
        max_clones=8,
        desired_clones=3,
        health_path="/ready",
        health_grace=Duration.seconds(90),
        deregistration_delay=Duration.seconds(5),
        idle_timeout=Duration.seconds(30),
        refresh=Refresh(
            min_healthy_percentage=90,
            max_healthy_percentage=110,
            warm_up=Duration.seconds(60),
            bake_time=Duration.minutes(10),
        ),
    )
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::EC2::VPC", 1)
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {
            "Scheme": "internal",
            "LoadBalancerAttributes": Match.array_with(
                [{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]
            ),
        },
    )
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            "HealthCheckPath": "/ready",
            "TargetGroupAttributes": Match.array_with(
                [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
            ),
        },
    )
    group = one(template, "AWS::AutoScaling::AutoScalingGroup")
    assert group["Properties"].items() >= {
        "MinSize": "1", "MaxSize": "8", "DesiredCapacity": "3", "HealthCheckGracePeriod": 90,
    }.items()  # fmt: skip
    preferences = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
    assert preferences.items() >= {
        "MinHealthyPercentage": 90, "MaxHealthyPercentage": 110, "InstanceWarmup": 60, "BakeTime": 600,
    }.items()  # fmt: skip


def test_egress_in_its_own_network_takes_one_nat_gateway(stack, image):
    CloneFleet(stack, "Fleet", image=image, egress=True)
    Template.from_stack(stack).resource_count_is("AWS::EC2::NatGateway", 1)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min_clones": 3, "max_clones": 2}, "min 3, desired 3, max 2 clones"),
        ({"desired_clones": 5}, "min 2, desired 5, max 4 clones"),
        ({"desired_clones": 1}, "min 2, desired 1, max 4 clones"),
        ({"min_clones": -1}, "min -1"),
    ],
)
def test_bounds_that_contradict_each_other(stack, image, bounds, message):
    with pytest.raises(InputError, match=message):
        CloneFleet(stack, "Fleet", image=image, **bounds)
