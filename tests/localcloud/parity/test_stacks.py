"""Stacks: exports, names that are taken, deletion, roll-back by hand, imports.

Each test names the page of AWS's documentation that it holds the local cloud to.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import (
    BROKEN,
    create,
    events,
    parameter,
    settled,
    template,
    update,
    value_of,
)


def exporting(name: str, value: Any, key: str) -> str:
    outputs = {"O": {"Value": value, "Export": {"Name": name}}}
    return template({"P": parameter(key, "1")}, Outputs=outputs)


def importing(name: str, key: str) -> str:
    return template({"P": parameter(key, {"Fn::ImportValue": name})})


def reasons(cloud: LocalCloud, stack: str) -> str:
    return "\n".join(reason for _, _, reason in events(cloud, stack))


class TestExports:
    """CloudFormation user guide, "Get exported outputs from a deployed CloudFormation stack"."""

    def test_a_name_is_exported_once(self, local_cloud: LocalCloud) -> None:
        create(local_cloud, "first", exporting("one-name", "a", "/first"))
        stack = create(local_cloud, "second", exporting("one-name", "b", "/second"))
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "Export with name one-name is already exported by stack first." in reasons(
            local_cloud, "second"
        )
        assert value_of(local_cloud, "/second") is None

    def test_what_is_used_neither_changes_nor_goes(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        create(local_cloud, "giver", exporting("used", "a", "/giver"))
        taker = create(local_cloud, "taker", importing("used", "/taker"))["StackId"]
        assert client.list_imports(ExportName="used")["Imports"] == ["taker"]
        changed = update(local_cloud, "giver", exporting("used", "b", "/giver"))
        assert changed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert "Export used cannot be updated as it is in use by taker" in reasons(local_cloud, "giver")
        renamed = update(local_cloud, "giver", exporting("other", "a", "/giver"))
        assert renamed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert "Export used cannot be deleted as it is in use by taker" in reasons(local_cloud, "giver")
        client.delete_stack(StackName="giver")
        kept = settled(local_cloud, "giver")
        assert kept["StackStatus"] == "DELETE_FAILED"
        assert "Cannot delete export used as it is in use by taker" in kept["StackStatusReason"]
        assert value_of(local_cloud, "/giver") == "1"
        client.delete_stack(StackName="taker")
        settled(local_cloud, taker)
        with pytest.raises(ClientError, match="Export 'used' is not imported by any stack"):
            client.list_imports(ExportName="used")
        client.delete_stack(StackName="giver")
        assert settled(local_cloud, kept["StackId"])["StackStatus"] == "DELETE_COMPLETE"

    def test_an_update_that_stops_to_import_frees_the_export(self, local_cloud: LocalCloud) -> None:
        create(local_cloud, "lender", exporting("lent", "a", "/lender"))
        create(local_cloud, "borrower", importing("lent", "/borrower"))
        update(local_cloud, "borrower", template({"P": parameter("/borrower", "own")}))
        stack = update(local_cloud, "lender", exporting("lent", "b", "/lender"))
        assert stack["StackStatus"] == "UPDATE_COMPLETE"


def _bucket(cloud: LocalCloud) -> None:
    cloud.client("s3").create_bucket(Bucket="taken-bucket")


def _policy(cloud: LocalCloud) -> None:
    cloud.client("s3").create_bucket(Bucket="has-a-policy")
    document = {"Version": "2012-10-17", "Statement": []}
    cloud.client("s3").put_bucket_policy(Bucket="has-a-policy", Policy=json.dumps(document))


def _alarm(cloud: LocalCloud) -> None:
    cloud.client("cloudwatch").put_metric_alarm(AlarmName="taken", **ALARM)


def _dashboard(cloud: LocalCloud) -> None:
    cloud.client("cloudwatch").put_dashboard(DashboardName="taken", DashboardBody='{"widgets": []}')


ALARM = {
    "MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum", "Threshold": 1.0,
    "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
}  # fmt: skip
TRUST = {"Version": "2012-10-17", "Statement": []}
TAKEN: dict[str, tuple[Callable[[LocalCloud], Any], dict[str, Any]]] = {
    "AWS::S3::Bucket": (_bucket, {"BucketName": "taken-bucket"}),
    "AWS::S3::BucketPolicy": (_policy, {"Bucket": "has-a-policy", "PolicyDocument": TRUST}),
    "AWS::CloudWatch::Alarm": (_alarm, {"AlarmName": "taken", **ALARM}),
    "AWS::CloudWatch::Dashboard": (
        _dashboard, {"DashboardName": "taken", "DashboardBody": '{"widgets": []}'},
    ),
    "AWS::SNS::Topic": (lambda c: c.client("sns").create_topic(Name="taken"), {"TopicName": "taken"}),
    "AWS::Logs::LogGroup": (
        lambda c: c.client("logs").create_log_group(logGroupName="taken"), {"LogGroupName": "taken"},
    ),
    "AWS::SSM::Parameter": (
        lambda c: c.client("ssm").put_parameter(Name="/taken", Type="String", Value="x"),
        {"Name": "/taken", "Type": "String", "Value": "x"},
    ),
    "AWS::ECR::Repository": (
        lambda c: c.client("ecr").create_repository(repositoryName="taken"), {"RepositoryName": "taken"},
    ),
    "AWS::IAM::Role": (
        lambda c: c.client("iam").create_role(RoleName="taken", AssumeRolePolicyDocument=json.dumps(TRUST)),
        {"RoleName": "taken", "AssumeRolePolicyDocument": TRUST},
    ),
    "AWS::IAM::InstanceProfile": (
        lambda c: c.client("iam").create_instance_profile(InstanceProfileName="taken"),
        {"InstanceProfileName": "taken", "Roles": []},
    ),
    "AWS::EC2::LaunchTemplate": (
        lambda c: c.client("ec2").create_launch_template(
            LaunchTemplateName="taken", LaunchTemplateData={"InstanceType": "t3.small"}
        ),
        {"LaunchTemplateName": "taken", "LaunchTemplateData": {"InstanceType": "t3.small"}},
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        lambda c: c.client("elbv2").create_target_group(
            Name="taken", Protocol="HTTP", Port=80, VpcId=c.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        ),
        {"Name": "taken", "Protocol": "HTTP", "Port": 80},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_a_stack_never_adopts_what_exists(local_cloud: LocalCloud, kind: str) -> None:
    """Troubleshooting CloudFormation, "Resource already exists": the creation fails, and the other stays."""
    make, properties = TAKEN[kind]
    make(local_cloud)
    if kind.endswith("TargetGroup"):
        vpc = local_cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        properties = {**properties, "VpcId": vpc}
    name = "adopts-" + kind.rpartition("::")[2]
    body = template({"X": {"Type": kind, "Properties": properties}})
    stack = create(local_cloud, name, body, Capabilities=["CAPABILITY_NAMED_IAM"])
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE", events(local_cloud, name)
    assert "already" in reasons(local_cloud, name).lower()
    # It is still there: made once more, it is refused or found again, and no event says that it was deleted.
    assert ("X", "DELETE_COMPLETE") not in [(who, status) for who, status, _ in events(local_cloud, name)]


def test_a_named_auto_scaling_group_is_not_taken_over(local_cloud: LocalCloud) -> None:
    """Auto Scaling API reference, CreateAutoScalingGroup: "AlreadyExists"."""
    ec2, autoscaling = local_cloud.client("ec2"), local_cloud.client("autoscaling")
    ec2.create_launch_template(
        LaunchTemplateName="for-taken",
        LaunchTemplateData={"ImageId": local_cloud.image("for taken"), "InstanceType": "t3.small"},
    )
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    given: dict[str, Any] = {
        "AutoScalingGroupName": "taken", "MinSize": 0, "MaxSize": 0,
        "LaunchTemplate": {"LaunchTemplateName": "for-taken", "Version": "1"},
        "VPCZoneIdentifier": subnet["SubnetId"],
    }  # fmt: skip
    autoscaling.create_auto_scaling_group(**given)
    with pytest.raises(ClientError) as caught:
        autoscaling.create_auto_scaling_group(**given)
    assert caught.value.response["Error"]["Code"] == "AlreadyExists"


class TestDeletion:
    """DeleteStack, API reference: "RetainResources", "DeletionMode"."""

    def stuck(self, cloud: LocalCloud, name: str) -> str:
        """Make a stack that cannot be deleted: its bucket is not empty. Return its id."""
        resources = {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
                     "P": parameter(f"/{name}", "1")}  # fmt: skip
        stack_id: str = create(cloud, name, template(resources))["StackId"]
        cloud.client("s3").put_object(Bucket=name, Key="k", Body=b"x")
        return stack_id

    def test_resources_are_retained_after_a_deletion_failed(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        stack_id = self.stuck(local_cloud, "retained")
        with pytest.raises(ClientError, match="only when the stack is in the DELETE_FAILED state"):
            client.delete_stack(StackName="retained", RetainResources=["B"])
        client.delete_stack(StackName="retained")
        assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_FAILED"
        with pytest.raises(ClientError, match="must be in a valid state"):
            client.delete_stack(StackName="retained", RetainResources=["P"])
        client.delete_stack(StackName="retained", RetainResources=["B"])
        assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_COMPLETE"
        assert local_cloud.client("s3").get_object(Bucket="retained", Key="k")["Body"].read() == b"x"

    def test_a_deletion_is_forced_only_after_it_failed(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        stack_id = self.stuck(local_cloud, "forced")
        with pytest.raises(ClientError, match="DELETE_FAILED"):
            client.delete_stack(StackName="forced", DeletionMode="FORCE_DELETE_STACK")
        client.delete_stack(StackName="forced")
        settled(local_cloud, stack_id)
        client.delete_stack(StackName="forced", DeletionMode="FORCE_DELETE_STACK")
        assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_COMPLETE"
        local_cloud.client("s3").head_bucket(Bucket="forced")


class TestRollBackByHand:
    """RollbackStack, ContinueUpdateRollback and CancelUpdateStack, API reference."""

    def test_a_failed_creation_is_undone(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        body = template({"P": parameter("/undone", "1"), "S": BROKEN | {"DependsOn": "P"}})
        assert create(local_cloud, "by-hand", body, DisableRollback=True)["StackStatus"] == "CREATE_FAILED"
        assert value_of(local_cloud, "/undone") == "1"
        client.rollback_stack(StackName="by-hand")
        assert settled(local_cloud, "by-hand")["StackStatus"] == "ROLLBACK_COMPLETE"
        assert value_of(local_cloud, "/undone") is None
        with pytest.raises(ClientError, match="can not be rolled back"):
            client.rollback_stack(StackName="by-hand")

    def test_a_failed_update_is_undone_with_what_it_replaced(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        create(local_cloud, "kept-update", template({"P": parameter("/old-name", "1")}))
        body = template({"P": parameter("/new-name", "1"), "S": BROKEN | {"DependsOn": "P"}})
        stack = update(local_cloud, "kept-update", body, DisableRollback=True)
        assert stack["StackStatus"] == "UPDATE_FAILED"
        assert value_of(local_cloud, "/new-name") == "1"
        client.rollback_stack(StackName="kept-update")
        assert settled(local_cloud, "kept-update")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert (value_of(local_cloud, "/old-name"), value_of(local_cloud, "/new-name")) == ("1", None)

    def test_an_update_goes_on_where_one_failed_and_cleans_up_after_both(
        self, local_cloud: LocalCloud
    ) -> None:
        create(local_cloud, "gone-on", template({"P": parameter("/gone-on/old", "1")}))
        broken = template({"P": parameter("/gone-on/new", "1"), "S": BROKEN | {"DependsOn": "P"}})
        update(local_cloud, "gone-on", broken, DisableRollback=True)
        stack = update(local_cloud, "gone-on", template({"P": parameter("/gone-on/new", "2")}))
        assert stack["StackStatus"] == "UPDATE_COMPLETE"
        assert (value_of(local_cloud, "/gone-on/old"), value_of(local_cloud, "/gone-on/new")) == (None, "2")

    def failed_rollback(self, cloud: LocalCloud, name: str) -> None:
        """Bring a stack into UPDATE_ROLLBACK_FAILED: what it should go back to is refused meanwhile."""
        cloud.client("ssm").put_parameter(Name=f"/{name}/value", Type="String", Value="good", Overwrite=True)
        reference = f"{{{{resolve:ssm:/{name}/value}}}}"
        create(cloud, name, template({"P": parameter(f"/{name}", reference)}))
        cloud.client("ssm").delete_parameter(Name=f"/{name}/value")
        body = template({"P": parameter(f"/{name}", "2"), "S": BROKEN | {"DependsOn": "P"}})
        assert update(cloud, name, body)["StackStatus"] == "UPDATE_ROLLBACK_FAILED"

    def test_a_failed_roll_back_is_gone_on_with(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        self.failed_rollback(local_cloud, "continued")
        with pytest.raises(ClientError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
            update(local_cloud, "continued", template({"P": parameter("/continued", "3")}))
        local_cloud.client("ssm").put_parameter(Name="/continued/value", Type="String", Value="good")
        client.continue_update_rollback(StackName="continued")
        assert settled(local_cloud, "continued")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert value_of(local_cloud, "/continued") == "good"
        with pytest.raises(ClientError, match="can not continue rollback"):
            client.continue_update_rollback(StackName="continued")

    def test_only_resources_that_failed_are_skipped(self, local_cloud: LocalCloud) -> None:
        client = local_cloud.client("cloudformation")
        self.failed_rollback(local_cloud, "skipped")
        with pytest.raises(ClientError, match="do not exist in stack"):
            client.continue_update_rollback(StackName="skipped", ResourcesToSkip=["Nobody"])

    def test_only_a_running_update_is_cancelled(self, local_cloud: LocalCloud) -> None:
        create(local_cloud, "at-rest", template({"P": parameter("/at-rest", "1")}))
        with pytest.raises(ClientError, match="cannot be called from current stack status"):
            local_cloud.client("cloudformation").cancel_update_stack(StackName="at-rest")


class TestImport:
    """CloudFormation user guide, "Import AWS resources into a CloudFormation stack"."""

    def change_set(
        self, cloud: LocalCloud, stack: str, body: str, *to_import: dict[str, Any]
    ) -> dict[str, Any]:
        client = cloud.client("cloudformation")
        client.create_change_set(
            StackName=stack, ChangeSetName="import", ChangeSetType="IMPORT", TemplateBody=body,
            ResourcesToImport=list(to_import),
        )  # fmt: skip
        described: dict[str, Any] = client.describe_change_set(StackName=stack, ChangeSetName="import")
        return described

    def bucket(self, name: str, **more: Any) -> dict[str, Any]:
        properties = {"BucketName": name}
        return {"Type": "AWS::S3::Bucket", "Properties": properties, "DeletionPolicy": "Delete", **more}

    def named(self, name: str) -> dict[str, Any]:
        return {
            "ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "B",
            "ResourceIdentifier": {"BucketName": name},
        }  # fmt: skip

    def test_a_bucket_becomes_part_of_a_stack(self, local_cloud: LocalCloud) -> None:
        client, s3 = local_cloud.client("cloudformation"), local_cloud.client("s3")
        s3.create_bucket(Bucket="was-there")
        s3.put_object(Bucket="was-there", Key="k", Body=b"kept")
        create(local_cloud, "importer", template({"P": parameter("/importer-p", "1")}))
        body = template({"P": parameter("/importer-p", "1"), "B": self.bucket("was-there")})
        summary = client.get_template_summary(TemplateBody=body)["ResourceIdentifierSummaries"]
        assert {s["ResourceType"]: s["ResourceIdentifiers"] for s in summary}["AWS::S3::Bucket"] == [
            "BucketName"
        ]
        [change] = self.change_set(local_cloud, "importer", body, self.named("was-there"))["Changes"]
        assert change["ResourceChange"]["Action"] == "Import"
        client.execute_change_set(StackName="importer", ChangeSetName="import")
        assert settled(local_cloud, "importer")["StackStatus"] == "IMPORT_COMPLETE"
        assert s3.get_object(Bucket="was-there", Key="k")["Body"].read() == b"kept"
        s3.delete_object(Bucket="was-there", Key="k")
        stack = update(local_cloud, "importer", template({"P": parameter("/importer-p", "1")}))
        assert stack["StackStatus"] == "UPDATE_COMPLETE"
        with pytest.raises(ClientError):
            s3.head_bucket(Bucket="was-there")

    def test_what_is_not_there_is_not_imported(self, local_cloud: LocalCloud) -> None:
        create(local_cloud, "imports-none", template({"P": parameter("/imports-none", "1")}))
        body = template({"P": parameter("/imports-none", "1"), "B": self.bucket("was-never-there")})
        self.change_set(local_cloud, "imports-none", body, self.named("was-never-there"))
        client = local_cloud.client("cloudformation")
        client.execute_change_set(StackName="imports-none", ChangeSetName="import")
        assert settled(local_cloud, "imports-none")["StackStatus"] == "IMPORT_ROLLBACK_COMPLETE"
        assert "with identifier 'was-never-there' was not found" in reasons(local_cloud, "imports-none")

    @pytest.mark.parametrize(
        ("resources", "message"),
        [
            ({"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "b"}}}, "missing DeletionPolicy"),
            ({"B": "bucket", "N": parameter("/more", "1")}, r"you cannot modify or add \[N\]"),
            ({"P": parameter("/imports-only", "2"), "B": "bucket"}, r"you cannot modify or add \[P\]"),
        ],
    )
    def test_an_import_does_nothing_else(
        self, local_cloud: LocalCloud, resources: dict[str, Any], message: str
    ) -> None:
        known = local_cloud.client("cloudformation").list_stacks()["StackSummaries"]
        if "imports-only" not in [stack["StackName"] for stack in known]:
            create(local_cloud, "imports-only", template({"P": parameter("/imports-only", "1")}))
        given = {name: self.bucket("b") if node == "bucket" else node for name, node in resources.items()}
        body = template({"P": parameter("/imports-only", "1"), **given})
        with pytest.raises(ClientError, match=message):
            self.change_set(local_cloud, "imports-only", body, self.named("b"))


def test_a_change_set_says_what_becomes_of_what_goes(local_cloud: LocalCloud) -> None:
    """ResourceChange, API reference: "PolicyAction"."""
    client = local_cloud.client("cloudformation")
    before = {
        "Gone": parameter("/acts/gone", "1"),
        "Kept": parameter("/acts/kept", "1", DeletionPolicy="Retain"),
        "Renamed": parameter("/acts/a", "1"),
        "RenamedKept": parameter("/acts/b", "1", UpdateReplacePolicy="Retain"),
    }
    create(local_cloud, "acts", template(before))
    after = {
        "Renamed": parameter("/acts/c", "1"),
        "RenamedKept": parameter("/acts/d", "1", UpdateReplacePolicy="Retain"),
    }
    client.create_change_set(StackName="acts", ChangeSetName="c", TemplateBody=template(after))
    described = client.describe_change_set(StackName="acts", ChangeSetName="c")["Changes"]
    actions = {
        c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"]["PolicyAction"] for c in described
    }
    assert actions == {
        "Gone": "Delete",
        "Kept": "Retain",
        "Renamed": "ReplaceAndDelete",
        "RenamedKept": "ReplaceAndRetain",
    }
