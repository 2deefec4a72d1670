"""CloudFormation deploys, changes, rolls back and deletes stacks as AWS does.

Source: CloudFormation user guide.
"""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import (
    BROKEN,
    PARAMETER,
    create,
    events,
    parameter,
    settled,
    template,
    update,
    value_of,
)


def test_an_operation_runs_while_the_caller_goes_on(local_cloud: LocalCloud) -> None:
    client = local_cloud.client("cloudformation")
    body = template({"P": parameter("/async", "x")}, Outputs={"Name": {"Value": {"Ref": "P"}}})
    client.create_stack(StackName="async", TemplateBody=body, Tags=[{"Key": "team", "Value": "a"}])
    stack = settled(local_cloud, "async")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"] == [{"OutputKey": "Name", "OutputValue": "/async"}]
    assert stack["Tags"] == [{"Key": "team", "Value": "a"}]
    assert [(n, s) for n, s, _ in events(local_cloud, "async")] == [
        ("async", "CREATE_IN_PROGRESS"),
        ("P", "CREATE_IN_PROGRESS"),
        ("P", "CREATE_IN_PROGRESS"),
        ("P", "CREATE_COMPLETE"),
        ("async", "CREATE_COMPLETE"),
    ]


def test_a_failed_creation_rolls_back_and_says_why(local_cloud: LocalCloud) -> None:
    body = template({"P": parameter("/rolled", "x"), "Broken": {**BROKEN, "DependsOn": "P"}})
    assert create(local_cloud, "rolled", body)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert value_of(local_cloud, "/rolled") is None
    log = events(local_cloud, "rolled")
    assert any(n == "Broken" and s == "CREATE_FAILED" and "InvalidVpcID.NotFound" in r for n, s, r in log)
    assert (
        "rolled",
        "ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Broken]. ",
    ) in log
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        update(local_cloud, "rolled", template({"P": PARAMETER}))


def test_a_dynamic_reference_is_resolved(local_cloud: LocalCloud) -> None:
    ssm = local_cloud.client("ssm")
    ssm.put_parameter(Name="/registry/web", Value="v1", Type="String")
    ssm.put_parameter(Name="/registry/web", Value="v2", Type="String", Overwrite=True)
    resources = {
        "Latest": parameter("/dynamic/latest", "is {{resolve:ssm:/registry/web}}"),
        "First": parameter("/dynamic/first", {"Fn::Sub": "{{resolve:ssm:/registry/${Name}:1}}"}),
    }
    sections = {"Parameters": {"Name": {"Type": "String", "Default": "web"}}}
    assert create(local_cloud, "dynamic", template(resources, **sections))["StackStatus"] == "CREATE_COMPLETE"
    assert (value_of(local_cloud, "/dynamic/latest"), value_of(local_cloud, "/dynamic/first")) == (
        "is v2",
        "v1",
    )


def test_a_missing_dynamic_reference_creates_nothing(local_cloud: LocalCloud) -> None:
    resources = {
        "A": parameter("/nothing/a", "x"),
        "B": parameter("/nothing/b", "{{resolve:ssm:/not/there}}"),
    }
    stack = create(local_cloud, "missing", template(resources))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    log = events(local_cloud, "missing")
    assert ("missing", "ROLLBACK_IN_PROGRESS", "Parameters: [ssm:/not/there] cannot be found.") in log
    assert not [name for name, _, _ in log if name != "missing"]


def test_other_dynamic_references_are_named_as_unsupported(local_cloud: LocalCloud) -> None:
    create(local_cloud, "unsupported", template({"A": parameter("/u", "{{resolve:ssm-secure:x}}")}))
    assert any(
        "does not support dynamic references to ssm-secure" in reason
        for _, _, reason in events(local_cloud, "unsupported")
    )


def test_parameters_of_the_parameter_store(local_cloud: LocalCloud) -> None:
    local_cloud.client("ssm").put_parameter(Name="/version", Value="21", Type="String")
    slot = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/version"}
    body = template({"P": parameter("/copied", {"Ref": "V"})}, Parameters={"V": slot})
    stack = create(local_cloud, "stored", body)
    assert value_of(local_cloud, "/copied") == "21"
    assert stack["Parameters"] == [{"ParameterKey": "V", "ParameterValue": "/version", "ResolvedValue": "21"}]
    slot["Default"] = "/not/there"
    with pytest.raises(ClientError, match=r"Unable to fetch parameters \[/not/there\] from parameter store"):
        create(local_cloud, "stored2", body.replace("/version", "/not/there"))


def test_previous_values_are_used_also_of_defaults(local_cloud: LocalCloud) -> None:
    slots = {"A": {"Type": "String", "Default": "default"}, "B": {"Type": "String"}}
    resources = {"P": parameter("/previous", {"Fn::Join": ["-", [{"Ref": "A"}, {"Ref": "B"}]]})}
    create(
        local_cloud, "previous", template(resources, Parameters=slots),
        Parameters=[{"ParameterKey": "B", "ParameterValue": "b"}],
    )  # fmt: skip
    both = [{"ParameterKey": key, "UsePreviousValue": True} for key in "AB"]
    with pytest.raises(ClientError, match="No updates are to be performed"):
        update(local_cloud, "previous", template(resources, Parameters=slots), Parameters=both)
    resources["Q"] = parameter("/previous2", {"Ref": "B"})
    update(local_cloud, "previous", template(resources, Parameters=slots), Parameters=both)
    assert (value_of(local_cloud, "/previous"), value_of(local_cloud, "/previous2")) == ("default-b", "b")
    with pytest.raises(ClientError, match=r"Parameters: \[B\] must have values"):
        create(local_cloud, "valueless", template(resources, Parameters=slots))
    with pytest.raises(ClientError, match=r"Parameters: \[X\] do not exist in the template"):
        create(
            local_cloud,
            "unknown",
            template({"P": PARAMETER}),
            Parameters=[{"ParameterKey": "X", "ParameterValue": "x"}],
        )


def test_an_update_changes_replaces_adds_and_removes(local_cloud: LocalCloud) -> None:
    create(local_cloud, "up", template({"A": parameter("/up/a", "1"), "B": parameter("/up/b", "1")}))
    stack = update(
        local_cloud, "up", template({"A": parameter("/up/a2", "1"), "C": parameter("/up/c", {"Ref": "A"})})
    )
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert [value_of(local_cloud, f"/up/{name}") for name in ("a", "a2", "b", "c")] == [
        None,
        "1",
        None,
        "/up/a2",
    ]


def test_a_failed_update_brings_everything_back(local_cloud: LocalCloud) -> None:
    before = {"A": parameter("/back/a", "1"), "B": parameter("/back/b", "1"), "C": parameter("/back/c", "1")}
    create(local_cloud, "back", template(before, Outputs={"O": {"Value": "old"}}))
    after = {
        "A": parameter("/back/a", "2"),
        "B": parameter("/back/b2", "1"),
        "D": parameter("/back/d", "1"),
        "Broken": {**BROKEN, "DependsOn": ["A", "B", "D"]},
    }
    stack = update(local_cloud, "back", template(after, Outputs={"O": {"Value": "new"}}))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [value_of(local_cloud, f"/back/{n}") for n in ("a", "b", "b2", "c", "d")] == [
        "1",
        "1",
        None,
        "1",
        None,
    ]
    assert stack["Outputs"] == [{"OutputKey": "O", "OutputValue": "old"}]
    assert (
        update(local_cloud, "back", template({"A": parameter("/back/a", "3")}))["StackStatus"]
        == "UPDATE_COMPLETE"
    )


def test_deletion_honours_retention_and_termination_protection(local_cloud: LocalCloud) -> None:
    client = local_cloud.client("cloudformation")
    resources = {"Kept": parameter("/kept", "1", DeletionPolicy="Retain"), "Gone": parameter("/gone", "1")}
    stack_id = create(local_cloud, "gone", template(resources), EnableTerminationProtection=True)["StackId"]
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        client.delete_stack(StackName="gone")
    client.update_termination_protection(StackName="gone", EnableTerminationProtection=False)
    client.delete_stack(StackName="gone")
    assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_COMPLETE"
    assert (value_of(local_cloud, "/kept"), value_of(local_cloud, "/gone")) == ("1", None)
    with pytest.raises(ClientError, match="Stack with id gone does not exist"):
        client.describe_stacks(StackName="gone")


def test_exports_reach_other_stacks(local_cloud: LocalCloud) -> None:
    outputs = {"O": {"Value": "shared", "Export": {"Name": "the-export"}}}
    create(local_cloud, "exporter", template({"P": parameter("/exporter", "1")}, Outputs=outputs))
    create(
        local_cloud, "importer", template({"P": parameter("/importer", {"Fn::ImportValue": "the-export"})})
    )
    assert value_of(local_cloud, "/importer") == "shared"


def test_outputs_are_read_without_an_export(local_cloud: LocalCloud) -> None:
    def reader(**reference: str) -> str:
        return template({"P": parameter("/reader", {"Fn::GetStackOutput": reference})})

    outputs = {"O": {"Value": "plain"}}
    create(local_cloud, "producer", template({"P": parameter("/producer", "1")}, Outputs=outputs))
    region = {"Ref": "AWS::Region"}
    create(local_cloud, "reader", reader(StackName="producer", OutputName="O", Region=region))
    assert value_of(local_cloud, "/reader") == "plain"
    for name, wrong, reason in (
        ("none", {"StackName": "nobody", "OutputName": "O"}, "Stack with id nobody does not exist"),
        ("other", {"StackName": "producer", "OutputName": "X"}, "Output X of stack producer does not exist"),
        (
            "away",
            {"StackName": "producer", "OutputName": "O", "Region": "eu-west-1"},
            "one account and region",
        ),
    ):
        stack = create(local_cloud, name, reader(**wrong))
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE", name
        events = local_cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        assert any(reason in event.get("ResourceStatusReason", "") for event in events), name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "Template format error"),
        ('{"Resources": {}}', "At least one Resources member must be defined"),
        (
            '{"Resources": {"A": {"Type": "AWS::Nope::Thing"}}}',
            r"Unrecognized resource types: \[AWS::Nope::Thing\]",
        ),
        (template({"A": parameter("/a", {"Ref": "B"})}), r"Unresolved resource dependencies \[B\]"),
        (
            template({"A": parameter("/a", {"Ref": "B"}), "B": parameter("/b", {"Ref": "A"})}),
            "Circular dependency",
        ),
    ],
)
def test_a_wrong_template_is_refused_at_once(local_cloud: LocalCloud, body: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        create(local_cloud, "wrong", body)


def test_roles_need_capabilities(local_cloud: LocalCloud) -> None:
    document = {"Version": "2012-10-17", "Statement": []}
    body = template({"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}})
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        create(local_cloud, "role", body)
    assert (
        create(local_cloud, "role", body, Capabilities=["CAPABILITY_IAM"])["StackStatus"] == "CREATE_COMPLETE"
    )


# -- change sets


def change_set(cloud: LocalCloud, stack: str, name: str, body: str, kind: str) -> dict[str, Any]:
    client = cloud.client("cloudformation")
    client.create_change_set(StackName=stack, ChangeSetName=name, TemplateBody=body, ChangeSetType=kind)
    described: dict[str, Any] = client.describe_change_set(StackName=stack, ChangeSetName=name)
    return described


def test_a_change_set_creates_then_changes_a_stack(local_cloud: LocalCloud) -> None:
    client = local_cloud.client("cloudformation")
    body = template({"A": parameter("/cs/a", "1")})
    described = change_set(local_cloud, "cs", "first", body, "CREATE")
    assert client.describe_stacks(StackName="cs")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert [c["ResourceChange"]["Action"] for c in described["Changes"]] == ["Add"]
    client.execute_change_set(StackName="cs", ChangeSetName="first")
    client.get_waiter("stack_create_complete").wait(StackName="cs", WaiterConfig={"Delay": 1})
    body = template({"A": parameter("/cs/b", "1")})
    (change,) = change_set(local_cloud, "cs", "second", body, "UPDATE")["Changes"]
    assert (change["ResourceChange"]["Action"], change["ResourceChange"]["Replacement"]) == ("Modify", "True")
    client.execute_change_set(StackName="cs", ChangeSetName="second")
    assert settled(local_cloud, "cs")["StackStatus"] == "UPDATE_COMPLETE"
    assert value_of(local_cloud, "/cs/a") is None
    unchanged = change_set(local_cloud, "cs", "third", body, "UPDATE")
    assert (unchanged["Status"], unchanged["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert unchanged["StatusReason"].startswith("The submitted information didn't contain changes.")
    with pytest.raises(ClientError, match="cannot be executed in its current status"):
        client.execute_change_set(StackName="cs", ChangeSetName="third")


def test_a_change_set_that_is_not_there(local_cloud: LocalCloud) -> None:
    client = local_cloud.client("cloudformation")
    create(local_cloud, "without", template({"P": parameter("/without", "1")}))
    with pytest.raises(client.exceptions.ChangeSetNotFoundException):
        client.describe_change_set(StackName="without", ChangeSetName="nope")
    client.delete_change_set(StackName="without", ChangeSetName="nope")
