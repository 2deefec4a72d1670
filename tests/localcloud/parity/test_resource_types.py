"""Scheduled actions, lifecycle hooks, single instances and secrets as resources of stacks.

Sources: CloudFormation template reference, the page of each type ("Update requires", "Return values"); the
user guides of Auto Scaling and of Secrets Manager. What a text is quoted from is said where it stands.
"""

import base64
import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud, code_of, register_empty
from tests.localcloud.services.cloudformation.support import (
    create,
    events,
    parameter,
    settled,
    template,
    update,
    value_of,
)

NUMBERS = itertools.count(1)
EMPTY_GROUP = {"MinSize": "0", "MaxSize": "3"}


@pytest.fixture(scope="module")
def cloud(stand_in_cloud: LocalCloud) -> LocalCloud:
    return stand_in_cloud


@pytest.fixture(scope="module")
def image(cloud: LocalCloud) -> str:
    return register_empty(cloud.client)


def reasons(cloud: LocalCloud, stack: str) -> str:
    return "\n".join(reason for _, status, reason in events(cloud, stack) if status.endswith("FAILED"))


def refused(cloud: LocalCloud, resources: dict[str, Any]) -> str:
    """Return why a stack of these resources was not made; nothing of it may be left."""
    name = f"refused-{next(NUMBERS)}"
    assert create(cloud, name, template(resources))["StackStatus"] == "ROLLBACK_COMPLETE"
    return reasons(cloud, name)


def physical(cloud: LocalCloud, stack: str, name: str = "X") -> str:
    listed = cloud.client("cloudformation").describe_stack_resources(StackName=stack, LogicalResourceId=name)[
        "StackResources"
    ]
    return str(listed[0]["PhysicalResourceId"])


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], limit: float = 20) -> Any:
    deadline = time.monotonic() + limit
    while True:
        seen = look()
        if wanted(seen):
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


def group(cloud: LocalCloud, image: str, **properties: Any) -> dict[str, Any]:
    """Return the resources of an Auto Scaling group in a default subnet."""
    subnet = cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    data = {"ImageId": image, "InstanceType": "t3.small"}
    version = {"Fn::GetAtt": ["T", "LatestVersionNumber"]}
    return {
        "T": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
        "G": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                **EMPTY_GROUP,
                "LaunchTemplate": {"LaunchTemplateId": {"Ref": "T"}, "Version": version},
                "VPCZoneIdentifier": [subnet],
                **properties,
            },
        },
    }


def of_group(kind: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": f"AWS::AutoScaling::{kind}",
        "Properties": {"AutoScalingGroupName": {"Ref": "G"}, **properties},
    }


def members(cloud: LocalCloud, name: str) -> dict[str, str]:
    [found] = cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    return {member["InstanceId"]: member["LifecycleState"] for member in found["Instances"]}


class TestScheduledAction:
    def test_it_is_made_changed_and_deleted(self, cloud: LocalCloud, image: str) -> None:
        """ "Ref returns the name"; AutoScalingGroupName: "Update requires: Replacement"."""
        base = group(cloud, image)

        def body(**properties: Any) -> str:
            action = of_group("ScheduledAction", Recurrence="30 7 * * MON-FRI", **properties)
            return template({**base, "X": action}, Outputs={"Ref": {"Value": {"Ref": "X"}}})

        stack = create(cloud, "plan", body(MinSize="1", TimeZone="Europe/Berlin"))
        name = physical(cloud, "plan")
        assert stack["Outputs"][0]["OutputValue"] == name
        autoscaling = cloud.client("autoscaling")
        [found] = autoscaling.describe_scheduled_actions(ScheduledActionNames=[name])[
            "ScheduledUpdateGroupActions"
        ]
        assert (found["MinSize"], found["TimeZone"]) == (1, "Europe/Berlin")
        assert found["StartTime"] > datetime.now(UTC)
        assert update(cloud, "plan", body(MinSize=2))["StackStatus"] == "UPDATE_COMPLETE"
        assert physical(cloud, "plan") == name
        [found] = autoscaling.describe_scheduled_actions(ScheduledActionNames=[name])[
            "ScheduledUpdateGroupActions"
        ]
        assert found["MinSize"] == 2
        assert update(cloud, "plan", template(base))["StackStatus"] == "UPDATE_COMPLETE"
        assert not autoscaling.describe_scheduled_actions()["ScheduledUpdateGroupActions"]

    def test_it_acts(self, cloud: LocalCloud, image: str) -> None:
        """User guide, "Scheduled scaling": at its time the group has the new size."""
        create(cloud, "acts", template(group(cloud, image)))
        name = physical(cloud, "acts", "G")
        soon = datetime.now(UTC) + timedelta(seconds=2)
        cloud.client("autoscaling").put_scheduled_update_group_action(
            AutoScalingGroupName=name, ScheduledActionName="now", StartTime=soon, DesiredCapacity=1
        )
        assert members(cloud, name) == {}
        eventually(lambda: list(members(cloud, name).values()), lambda states: states == ["InService"])

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            (
                {"Recurrence": "0 0 6 * * 1-5", "MinSize": 1},
                "Given recurrence string: 0 0 6 * * 1-5 is invalid",
            ),
            ({"StartTime": "2020-01-01T00:00:00Z", "MinSize": 1}, "Given start time is in the past"),
            ({"Recurrence": "0 6 * * *"}, "MinSize, MaxSize or DesiredCapacity must be specified"),
            ({"Recurrence": "0 6 * * *", "Size": 1}, "extraneous key [Size] is not permitted"),
        ],
    )
    def test_refusals(self, cloud: LocalCloud, image: str, properties: dict[str, Any], message: str) -> None:
        action = of_group("ScheduledAction", **properties)
        assert message in refused(cloud, {**group(cloud, image), "X": action})

    def test_a_batch_says_what_it_refused(self, cloud: LocalCloud, image: str) -> None:
        """API reference, BatchPutScheduledUpdateGroupAction and BatchDeleteScheduledAction."""
        create(cloud, "batch", template(group(cloud, image)))
        name, autoscaling = physical(cloud, "batch", "G"), cloud.client("autoscaling")
        actions = [
            {"ScheduledActionName": "a", "Recurrence": "0 1 * * *", "MinSize": 1},
            {"ScheduledActionName": "b", "Recurrence": "never", "MinSize": 1},
        ]
        answer = autoscaling.batch_put_scheduled_update_group_action(
            AutoScalingGroupName=name, ScheduledUpdateGroupActions=actions
        )
        [failed] = answer["FailedScheduledUpdateGroupActions"]
        assert (failed["ScheduledActionName"], failed["ErrorCode"]) == ("b", "ValidationError")
        answer = autoscaling.batch_delete_scheduled_action(
            AutoScalingGroupName=name, ScheduledActionNames=["a", "b"]
        )
        assert [gone["ScheduledActionName"] for gone in answer["FailedScheduledActions"]] == ["b"]


class TestLifecycleHook:
    def test_it_is_made_changed_and_deleted(self, cloud: LocalCloud, image: str) -> None:
        """ "Ref returns the name"; the default result is ABANDON, the default timeout an hour."""
        base = group(cloud, image)

        def body(**properties: Any) -> str:
            hook = of_group(
                "LifecycleHook", LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING", **properties
            )
            return template({**base, "X": hook})

        create(cloud, "hook", body())
        owner, name = physical(cloud, "hook", "G"), physical(cloud, "hook")
        autoscaling = cloud.client("autoscaling")

        def shown() -> list[dict[str, Any]]:
            found = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=owner)["LifecycleHooks"]
            return list(found)

        [hook] = shown()
        assert hook["LifecycleHookName"] == name
        assert (hook["DefaultResult"], hook["HeartbeatTimeout"], hook["GlobalTimeout"]) == (
            "ABANDON",
            3600,
            172800,
        )
        assert "NotificationTargetARN" not in hook
        update(cloud, "hook", body(HeartbeatTimeout="60"))
        [hook] = shown()
        assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"]) == (name, 60)
        update(cloud, "hook", body(HeartbeatTimeout="60", LifecycleHookName="renamed"))
        assert [hook["LifecycleHookName"] for hook in shown()] == ["renamed"]
        update(cloud, "hook", template(base))
        assert shown() == []

    def test_it_holds_an_instance_until_it_is_completed(self, cloud: LocalCloud, image: str) -> None:
        """User guide, "How lifecycle hooks work in Auto Scaling groups"; SQS hears of it, in JSON."""
        queue = cloud.client("sqs").create_queue(QueueName="told")["QueueUrl"]
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "autoscaling.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        role = cloud.client("iam").create_role(RoleName="tells", AssumeRolePolicyDocument=json.dumps(trust))
        hook = {
            "LifecycleHookName": "ready",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "NotificationTargetARN": "arn:aws:sqs:us-east-1:123456789012:told",
            "RoleARN": role["Role"]["Arn"],
        }
        create(
            cloud,
            "held",
            template(group(cloud, image, MinSize="1", LifecycleHookSpecificationList=[hook])),
        )
        name, autoscaling = physical(cloud, "held", "G"), cloud.client("autoscaling")
        [(instance, _)] = eventually(
            lambda: list(members(cloud, name).items()),
            lambda found: [state for _, state in found] == ["Pending:Wait"],
        )
        sqs = cloud.client("sqs")
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        bodies = [json.loads(message["Body"]) for message in messages]
        [message] = [body for body in bodies if body.get("EC2InstanceId")]
        assert (message["EC2InstanceId"], message["AccountId"]) == (instance, "123456789012")
        with pytest.raises(ClientError) as caught:
            autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=name,
                LifecycleHookName="ready",
                LifecycleActionResult="CONTINUE",
                InstanceId="i-0123456789abcdef0",
            )
        assert code_of(caught) == "ValidationError"
        assert "No active Lifecycle Action found with instance ID i-0123456789abcdef0" in str(caught.value)
        autoscaling.record_lifecycle_action_heartbeat(
            AutoScalingGroupName=name, LifecycleHookName="ready", InstanceId=instance
        )
        autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=name,
            LifecycleHookName="ready",
            LifecycleActionResult="CONTINUE",
            LifecycleActionToken=message["LifecycleActionToken"],
        )
        eventually(lambda: members(cloud, name), lambda found: found == {instance: "InService"})
        cloud.client("cloudformation").delete_stack(StackName="held")
        eventually(
            lambda: autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
                "AutoScalingGroups"
            ],
            lambda found: not found,
        )

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            ({"HeartbeatTimeout": 7201}, "HeartbeatTimeout must be between 30 and 7200"),
            ({"DefaultResult": "STOP"}, "STOP is not a valid enum value"),
            ({"LifecycleHookName": "no spaces"}, "failed validation constraint for keyword [pattern]"),
            (
                {"NotificationTargetARN": "arn:aws:sqs:us-east-1:123456789012:none", "RoleARN": "arn:x"},
                "Unable to publish test message to notification target",
            ),
        ],
    )
    def test_refusals(self, cloud: LocalCloud, image: str, properties: dict[str, Any], message: str) -> None:
        transition = "autoscaling:EC2_INSTANCE_TERMINATING"
        hook = of_group("LifecycleHook", LifecycleTransition=transition, **properties)
        assert message in refused(cloud, {**group(cloud, image), "X": hook})


class TestInstance:
    def instance(self, image: str, **properties: Any) -> dict[str, Any]:
        given = {"ImageId": image, "InstanceType": "t3.small", **properties}
        return {"Type": "AWS::EC2::Instance", "Properties": given}

    def described(self, cloud: LocalCloud, instance_id: str) -> dict[str, Any]:
        found = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
        return dict(found["Reservations"][0]["Instances"][0])

    def attribute(self, cloud: LocalCloud, instance_id: str, name: str) -> Any:
        return cloud.client("ec2").describe_instance_attribute(InstanceId=instance_id, Attribute=name)

    def test_it_is_launched_as_its_properties_say(self, cloud: LocalCloud, image: str) -> None:
        """ "Return values": Ref is the id."""
        data = base64.b64encode("größe=1\n".encode()).decode()
        disk = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": "3", "VolumeType": "gp3"}}
        one = self.instance(
            image,
            UserData=data,
            BlockDeviceMappings=[disk],
            PropagateTagsToVolumeOnCreation=True,
            Tags=[{"Key": "Name", "Value": "one"}],
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        )
        outputs = {
            name: {"Value": {"Fn::GetAtt": ["X", name]}}
            for name in ("PrivateIp", "AvailabilityZone", "VpcId")
        }
        stack = create(cloud, "single", template({"X": one}, Outputs=outputs))
        assert stack["StackStatus"] == "CREATE_COMPLETE", reasons(cloud, "single")
        instance_id = physical(cloud, "single")
        found = self.described(cloud, instance_id)
        assert found["State"]["Name"] == "running"
        assert {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]} == {
            "PrivateIp": found["PrivateIpAddress"],
            "AvailabilityZone": found["Placement"]["AvailabilityZone"],
            "VpcId": found["VpcId"],
        }
        assert found["MetadataOptions"]["HttpTokens"] == "required"
        assert self.attribute(cloud, instance_id, "userData")["UserData"]["Value"] == data
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert (tags["Name"], tags["aws:cloudformation:stack-name"]) == ("one", "single")
        volumes = cloud.client("ec2").describe_volumes(
            Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
        )["Volumes"]
        assert {tag["Key"]: tag["Value"] for v in volumes for tag in v["Tags"]} == {"Name": "one"}
        assert 3 in [volume["Size"] for volume in volumes]

    def test_what_changes_in_place_and_what_replaces_it(self, cloud: LocalCloud, image: str) -> None:
        """ "Update requires": tags, protection and user data keep the instance, another image does not."""
        create(cloud, "changes", template({"X": self.instance(image)}))
        first = physical(cloud, "changes")
        data = base64.b64encode(b"two").decode()
        changed = self.instance(
            image, DisableApiTermination=True, UserData=data, Tags=[{"Key": "a", "Value": "b"}]
        )
        stack = update(cloud, "changes", template({"X": changed}))
        assert stack["StackStatus"] == "UPDATE_COMPLETE", reasons(cloud, "changes")
        assert physical(cloud, "changes") == first
        assert self.attribute(cloud, first, "userData")["UserData"]["Value"] == data
        assert self.described(cloud, first)["State"]["Name"] == "running"
        with pytest.raises(ClientError) as caught:
            cloud.client("ec2").modify_instance_attribute(InstanceId=first, UserData={"Value": b"three"})
        assert code_of(caught) == "IncorrectInstanceState"
        with pytest.raises(ClientError) as caught:
            cloud.client("ec2").terminate_instances(InstanceIds=[first])
        assert code_of(caught) == "OperationNotPermitted"
        other = register_empty(cloud.client, "another")
        replaced = self.instance(other)
        stack = update(cloud, "changes", template({"X": self.instance(image)}))
        assert stack["StackStatus"] == "UPDATE_COMPLETE"
        update(cloud, "changes", template({"X": replaced}))
        assert physical(cloud, "changes") != first
        assert self.described(cloud, first)["State"]["Name"] == "terminated"

    def test_a_protected_one_keeps_its_stack(self, cloud: LocalCloud, image: str) -> None:
        """EC2 user guide, "Change instance termination protection": the deletion fails."""
        create(cloud, "kept", template({"X": self.instance(image, DisableApiTermination=True)}))
        instance_id = physical(cloud, "kept")
        cloud.client("cloudformation").delete_stack(StackName="kept")
        assert settled(cloud, "kept")["StackStatus"] == "DELETE_FAILED"
        assert f"'{instance_id}' may not be terminated" in reasons(cloud, "kept")
        off = {"Value": False}
        cloud.client("ec2").modify_instance_attribute(InstanceId=instance_id, DisableApiTermination=off)
        cloud.client("cloudformation").delete_stack(StackName="kept")
        eventually(
            lambda: self.described(cloud, instance_id)["State"]["Name"], lambda state: state == "terminated"
        )

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
            ({"InstanceType": "t3.enormous"}, "Invalid value 't3.enormous' for InstanceType"),
            ({"UserData": "plain text!"}, "Invalid BASE64 encoding of user data"),
            ({"Tenancy": "dedicated"}, "does not support of AWS::EC2::Instance: Tenancy"),
            ({"HibernationOptions": {"Configured": True}}, "HibernationOptions"),
            (
                {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"Throughput": 125}}]},
                "extraneous key [Throughput] is not permitted",
            ),
        ],
    )
    def test_refusals(self, cloud: LocalCloud, image: str, properties: dict[str, Any], message: str) -> None:
        assert message in refused(cloud, {"X": self.instance(image, **properties)})


class TestSecret:
    def secret(self, **properties: Any) -> dict[str, Any]:
        return {"Type": "AWS::SecretsManager::Secret", "Properties": properties}

    def value(self, cloud: LocalCloud, arn: str) -> str:
        return str(cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])

    def test_one_is_generated_and_stays_until_its_properties_change(self, cloud: LocalCloud) -> None:
        """ "Ref returns the ARN", as does the attribute Id; "a new secret version is created"."""

        def body(**generate: Any) -> str:
            return template(
                {"X": self.secret(GenerateSecretString=generate, Description="of the app")},
                Outputs={"Id": {"Value": {"Fn::GetAtt": ["X", "Id"]}}},
            )

        given = {"PasswordLength": 40, "ExcludePunctuation": True}
        stack = create(cloud, "password", body(**given))
        assert stack["StackStatus"] == "CREATE_COMPLETE", reasons(cloud, "password")
        arn = physical(cloud, "password")
        assert stack["Outputs"][0]["OutputValue"] == arn
        first = self.value(cloud, arn)
        assert len(first) == 40
        assert first.isalnum()
        changed = {**given, "SecretStringTemplate": '{"username":"app"}', "GenerateStringKey": "password"}
        assert update(cloud, "password", body(**changed))["StackStatus"] == "UPDATE_COMPLETE"
        assert physical(cloud, "password") == arn
        second = json.loads(self.value(cloud, arn))
        assert second["username"] == "app"
        assert len(second["password"]) == 40
        assert second["password"] != first
        cloud.client("cloudformation").delete_stack(StackName="password")
        eventually(
            lambda: [s["ARN"] for s in cloud.client("secretsmanager").list_secrets()["SecretList"]],
            lambda listed: arn not in listed,
        )

    def test_a_given_one_has_its_name_and_tags_and_a_new_name_replaces_it(self, cloud: LocalCloud) -> None:
        """Name: "Update requires: Replacement"."""
        tags = [{"Key": "team", "Value": "web"}]
        create(cloud, "given", template({"X": self.secret(Name="app/key", SecretString="a", Tags=tags)}))
        first = physical(cloud, "given")
        manager = cloud.client("secretsmanager")
        found = manager.describe_secret(SecretId="app/key")
        assert found["ARN"] == first
        assert {"Key": "team", "Value": "web"} in found["Tags"]
        update(cloud, "given", template({"X": self.secret(Name="app/key", SecretString="b")}))
        assert self.value(cloud, first) == "b"
        assert "team" not in [tag["Key"] for tag in manager.describe_secret(SecretId=first)["Tags"]]
        update(cloud, "given", template({"X": self.secret(Name="app/other", SecretString="b")}))
        assert physical(cloud, "given") != first
        with pytest.raises(ClientError) as caught:
            manager.describe_secret(SecretId=first)
        assert code_of(caught) == "ResourceNotFoundException"

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            # The text that CloudFormation shows, as users of AWS report it.
            (
                {"GenerateSecretString": {"SecretStringTemplate": "{}"}},
                "SecretStringTemplate and GenerateStringKey must both be set or removed.",
            ),
            (
                {"GenerateSecretString": {"SecretStringTemplate": "no json", "GenerateStringKey": "k"}},
                "Could not parse SecretStringTemplate JSON",
            ),
            ({"GenerateSecretString": {}, "SecretString": "a"}, "both SecretString and GenerateSecretString"),
            ({"Description": "a" * 2049}, "failed validation constraint for keyword [maxLength]"),
            ({"Name": "taken", "SecretString": "a"}, "already exists"),
        ],
    )
    def test_refusals(self, cloud: LocalCloud, properties: dict[str, Any], message: str) -> None:
        manager = cloud.client("secretsmanager")
        if "Name" in properties:
            manager.create_secret(Name="taken", SecretString="mine")
        assert message in refused(cloud, {"X": self.secret(**properties)})
        if "Name" in properties:
            assert self.value(cloud, "taken") == "mine"

    def test_a_property_refers_to_a_secret_of_the_same_stack(self, cloud: LocalCloud) -> None:
        """ "Get a secret or secret value from Secrets Manager", CloudFormation user guide."""
        login = self.secret(SecretString='{"user":"app","port":5432}')
        reference = {"Fn::Sub": "{{resolve:secretsmanager:${X}:SecretString:user}}"}
        whole = {"Fn::Sub": "is {{resolve:secretsmanager:${X}}}"}
        stack = create(
            cloud,
            "refers",
            template({"X": login, "P": parameter("/t/user", reference), "W": parameter("/t/all", whole)}),
        )
        assert stack["StackStatus"] == "CREATE_COMPLETE", reasons(cloud, "refers")
        assert value_of(cloud, "/t/user") == "app"
        assert value_of(cloud, "/t/all") == 'is {"user":"app","port":5432}'

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("not-there", "can't find the specified secret"),
            ("${X}:SecretString:password", "Could not find a value associated with JSONKey in SecretString"),
            ("${T}:SecretString:user", "Could not parse SecretString JSON"),
            ("${X}:SecretBinary", "Incorrect format is used in the following Secret reference"),
        ],
    )
    def test_references_that_find_nothing(self, cloud: LocalCloud, reference: str, message: str) -> None:
        resources = {
            "X": self.secret(SecretString='{"user":"app"}'),
            "T": self.secret(SecretString="text"),
            "P": parameter("/t/none", {"Fn::Sub": "{{resolve:secretsmanager:" + reference + "}}"}),
        }
        assert message in refused(cloud, resources)
        assert value_of(cloud, "/t/none") is None

    def test_outputs_show_no_secret(self, cloud: LocalCloud) -> None:
        outputs = {"Shown": {"Value": {"Fn::Sub": "{{resolve:secretsmanager:${X}}}"}}}
        stack = create(cloud, "shows", template({"X": self.secret(SecretString="hidden")}, Outputs=outputs))
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "does not support dynamic references to secretsmanager" in str(events(cloud, "shows"))
