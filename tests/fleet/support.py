"""A fleet in the local cloud's control plane, without machines."""

import json

# moto has no instance refreshes. The form of AWS's answer: API reference, DescribeInstanceRefreshes.
NO_REFRESH = """<DescribeInstanceRefreshesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
<DescribeInstanceRefreshesResult><InstanceRefreshes>%s</InstanceRefreshes></DescribeInstanceRefreshesResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DescribeInstanceRefreshesResponse>"""
REFRESH = """<member>
<InstanceRefreshId>08b91cf7</InstanceRefreshId><AutoScalingGroupName>fleet</AutoScalingGroupName>
<Status>InProgress</Status><PercentageComplete>50</PercentageComplete><StatusReason>Waiting</StatusReason>
</member>"""


def deploy_fleet(direct, proxy, ami_id, digest, *, recipe="web", size=1, balanced=True):
    """Make the stack IngotFleet with a fleet's outputs, and a group of so many instances behind a target
    group.
    """
    proxy.answers["DescribeInstanceRefreshes"] = NO_REFRESH % ""
    ec2 = direct.ec2
    ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 1})
    vpc, subnet = ec2.describe_vpcs()["Vpcs"][0]["VpcId"], ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": ami_id, "InstanceType": "t3.small"}
    )
    [group] = direct.elbv2.create_target_group(Name="fleet", Protocol="HTTP", Port=80, VpcId=vpc)[
        "TargetGroups"
    ]
    direct.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=size,
        MaxSize=size,
        DesiredCapacity=size,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "1"},
        TargetGroupARNs=[group["TargetGroupArn"]] if balanced else [],
    )
    outputs = {
        **({"Url": "http://localhost:1"} if balanced else {}),
        "AutoScalingGroupName": "fleet",
        "RecipeDigest": digest,
        "RecipeName": recipe,
    }
    template = {
        "Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    direct.cloudformation.create_stack(StackName="IngotFleet", TemplateBody=json.dumps(template))
    direct.cloudformation.get_waiter("stack_create_complete").wait(
        StackName="IngotFleet", WaiterConfig={"Delay": 1}
    )


def remove_fleet(direct):
    """Undo `deploy_fleet`."""
    direct.cloudformation.delete_stack(StackName="IngotFleet")
    direct.cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="IngotFleet", WaiterConfig={"Delay": 1}
    )
    direct.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
