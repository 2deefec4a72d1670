"""What a publisher may not do, as calls."""


def mapping(snapshot):
    return [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]


def tagged(kind, **values):
    tags = [{"Key": f"ingot:{key}", "Value": value} for key, value in values.items()]
    return [{"ResourceType": kind, "Tags": tags}]


def launches(ours, foreign, **changed):
    request = {
        "ImageId": ours.ami_id,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": foreign["SubnetIds"].split(",")[0],
        "LaunchTemplate": {"LaunchTemplateId": foreign["TestLaunchTemplateId"]},
        "TagSpecifications": [*tagged("instance", recipe="web"), *tagged("volume", recipe="web")],
        **changed,
    }
    return {key: value for key, value in request.items() if value is not None}


def on_images(clients, ours, foreign):
    """On snapshots and AMIs."""
    ec2, ebs = clients.ec2, clients.ebs
    register = {"Name": "another", "RootDeviceName": "/dev/xvda", "Architecture": "x86_64"}
    tags = [{"Key": "ingot:recipe", "Value": "web"}]
    state = [{"Key": "ingot:state", "Value": "published"}]
    return {
        "start an untagged snapshot": lambda: ebs.start_snapshot(VolumeSize=1),
        "start a snapshot with other tags": lambda: ebs.start_snapshot(
            VolumeSize=1, Tags=[{"Key": "a", "Value": "b"}]
        ),
        "complete a foreign snapshot": lambda: ebs.complete_snapshot(
            SnapshotId=foreign["pending"], ChangedBlocksCount=0
        ),
        "delete a foreign snapshot": lambda: ec2.delete_snapshot(SnapshotId=foreign["pending"]),
        "register an untagged AMI": lambda: ec2.register_image(
            **register, BlockDeviceMappings=mapping(ours.snapshot_id)
        ),
        "register an AMI on a foreign snapshot": lambda: ec2.register_image(
            **register,
            BlockDeviceMappings=mapping(foreign["snapshot"]),
            TagSpecifications=tagged("image", recipe="web"),
        ),
        "register an AMI with other tags": lambda: ec2.register_image(
            **register,
            BlockDeviceMappings=mapping(ours.snapshot_id),
            TagSpecifications=tagged("image", other="b"),
        ),
        "deregister a foreign AMI": lambda: ec2.deregister_image(ImageId=foreign["image"]),
        "claim a foreign snapshot": lambda: ec2.create_tags(Resources=[foreign["snapshot"]], Tags=tags),
        "claim a foreign AMI": lambda: ec2.create_tags(Resources=[foreign["image"]], Tags=tags),
        "claim a foreign instance": lambda: ec2.create_tags(Resources=[foreign["instance"]], Tags=tags),
        "give a foreign snapshot a state": lambda: ec2.create_tags(
            Resources=[foreign["snapshot"]], Tags=state
        ),
        "rename an image's recipe": lambda: ec2.create_tags(Resources=[ours.ami_id], Tags=tags),
    }


def on_the_rest(clients, ours, foreign):
    """On machines, and on what is none of Ingot's."""
    ec2, ebs, ssm = clients.ec2, clients.ebs, clients.ssm
    builder = {"LaunchTemplateId": foreign["BuilderLaunchTemplateId"]}
    return {
        "launch a foreign AMI": lambda: ec2.run_instances(
            **launches(ours, foreign, ImageId=foreign["image"])
        ),
        "launch without a template": lambda: ec2.run_instances(
            **launches(ours, foreign, LaunchTemplate=None, SecurityGroupIds=[foreign["group"]])
        ),
        "launch by the builder's template": lambda: ec2.run_instances(
            **launches(ours, foreign, LaunchTemplate=builder)
        ),
        "launch into another group": lambda: ec2.run_instances(
            **launches(ours, foreign, SecurityGroupIds=[foreign["group"]])
        ),
        "launch without tags": lambda: ec2.run_instances(**launches(ours, foreign, TagSpecifications=None)),
        "terminate a foreign instance": lambda: ec2.terminate_instances(InstanceIds=[foreign["instance"]]),
        "read a foreign console": lambda: ec2.get_console_output(InstanceId=foreign["instance"]),
        "write another parameter": lambda: ssm.put_parameter(Name="/prod/password", Value="x", Type="String"),
        "read another parameter": lambda: ssm.get_parameter(Name="/prod/password"),
        "read another stack": lambda: clients.cloudformation.get_template(StackName="Payroll"),
        "read blocks": lambda: ebs.list_snapshot_blocks(SnapshotId=ours.snapshot_id),
        "share an AMI": lambda: ec2.modify_image_attribute(
            ImageId=ours.ami_id, LaunchPermission={"Add": [{"Group": "all"}]}
        ),
        "make itself mightier": lambda: ec2.describe_launch_templates(),
    }


def attempts(clients, ours, foreign):
    """All of them: a sentence and the call."""
    return on_images(clients, ours, foreign) | on_the_rest(clients, ours, foreign)
