"""An account with images as publishes leave them, and with those who use them."""

import itertools

from ingot.recipe.asset import registry_parameter

NUMBERS = itertools.count()


def tag_list(values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


class Account:
    """Makes images as a publish leaves them, without one."""

    def __init__(self, clients):
        self.clients = clients

    @staticmethod
    def marks(digest):
        return {"ingot:digest": digest, "ingot:publish-id": digest[-32:]}

    def snapshot(self, recipe="web", state="published"):
        marks = {"ingot:recipe": recipe, "ingot:state": state, **self.marks(f"{next(NUMBERS):064x}")}
        snapshot_id = self.clients.ebs.start_snapshot(VolumeSize=1, Tags=tag_list(marks))["SnapshotId"]
        self.clients.ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=0)
        self.clients.ec2.get_waiter("snapshot_completed").wait(
            SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 0.1}
        )
        return snapshot_id

    def image(self, recipe="web", *, entered=True, state="published", snapshot=None):
        """Register an AMI and enter it in the registry; return its id."""
        digest = f"{next(NUMBERS):064x}"
        image_tags = {"ingot:recipe": recipe, "ingot:state": state, **self.marks(digest)}
        snapshot = snapshot or self.snapshot(recipe, state)
        mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}
        ami_id = self.clients.ec2.register_image(
            Name=f"ingot/{recipe}/{digest[-12:]}",
            Architecture="x86_64",
            VirtualizationType="hvm",
            EnaSupport=True,
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[mapping],
            TagSpecifications=[{"ResourceType": "image", "Tags": tag_list(image_tags)}],
        )["ImageId"]
        self.clients.ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 0.1})
        if entered:
            self.clients.ssm.put_parameter(
                Name=registry_parameter(recipe, digest), Value=ami_id, Type="String"
            )
        return ami_id

    def template(self, name, *amis, ours=True):
        """Make a launch template with a version for each AMI."""
        tag_specifications = [
            {
                "ResourceType": "launch-template",
                "Tags": tag_list({"ingot:recipe": "web"} if ours else {"a": "b"}),
            }
        ]
        ec2 = self.clients.ec2
        for number, ami_id in enumerate(amis):
            data = {"ImageId": ami_id, "InstanceType": "t3.small"}
            if number == 0:
                ec2.create_launch_template(
                    LaunchTemplateName=name, LaunchTemplateData=data, TagSpecifications=tag_specifications
                )
            else:
                ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)

    def group(self, name, **what):
        zone = self.clients.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.clients.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0, VPCZoneIdentifier=zone, **what
        )
