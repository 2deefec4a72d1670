"""What the shipped fleet launches, as `cdk synth` writes it."""

from ingot.plan.infrastructure.launches import PlannedLaunch, launches_of

IMAGE = {"Fn::Join": ["", ["{{resolve:ssm:/ingot/web/", "4f", "}}"]]}


def subnet(zone):
    return {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": zone}}


ROOT = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 2}}]


def launch_template(image=IMAGE, kind="t3.small"):
    data = {"ImageId": image, "InstanceType": kind, "BlockDeviceMappings": ROOT}
    return {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}}


def group(**properties):
    path = {"aws:cdk:path": "IngotFleet/Web/Group/ASG"}
    return {"Type": "AWS::AutoScaling::AutoScalingGroup", "Metadata": path, "Properties": properties}


def test_a_group_with_one_type():
    resources = {
        "A": subnet("us-east-1a"),
        "B": subnet({"Fn::Select": [1, {"Fn::GetAZs": ""}]}),
        "C": subnet({"Ref": "Zone"}),
        "T": launch_template(),
        "G": group(
            LaunchTemplate={"LaunchTemplateId": {"Ref": "T"}},
            VPCZoneIdentifier=[{"Ref": "A"}, {"Ref": "B"}, {"Ref": "C"}, "subnet-1"],
        ),
    }
    found = launches_of({"Resources": resources})
    assert found == [PlannedLaunch("IngotFleet/Web/Group", ("t3.small",), ("us-east-1a", 1))]


def test_a_group_with_several_types():
    mixed = {
        "LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "T"}},
        "Overrides": [{"InstanceType": "t3.small"}, {"InstanceType": "m7i.large"}],
    }
    resources = {"T": launch_template(), "G": group(MixedInstancesPolicy={"LaunchTemplate": mixed})}
    assert launches_of({"Resources": resources}) == [
        PlannedLaunch("IngotFleet/Web/Group", ("t3.small", "m7i.large"))
    ]


def test_what_launches_no_golden_image_is_left_out():
    resources = {
        "T": launch_template("ami-1"),
        "G": group(LaunchTemplate={"LaunchTemplateId": {"Ref": "T"}}),
        "P": launch_template(kind={"Ref": "Type"}),
    }
    assert launches_of({"Resources": resources}) == []


def test_a_template_that_maps_no_volumes():
    template = launch_template(kind="m3.medium")
    del template["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"]
    in_group = group(LaunchTemplate={"LaunchTemplateId": {"Ref": "T"}})
    for resources, path in (({"T": template, "G": in_group}, "IngotFleet/Web/Group"), ({"T": template}, "T")):
        assert launches_of({"Resources": resources}) == [
            PlannedLaunch(path, ("m3.medium",), maps_volumes=False)
        ]
