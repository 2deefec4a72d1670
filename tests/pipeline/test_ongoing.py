"""`ingot deploy` beside another deployment: of another process, or one that AWS still works on."""

import os

import pytest
from botocore.awsrequest import AWSResponse

from ingot.aws.session.clients import connect
from ingot.errors import IngotError
from ingot.pipeline.ongoing import alone, wait_settled
from tests.cli.conftest import moto_server
from tests.cli.test_deploy import calls, deploy, project

__all__ = ["moto_server", "project"]


def test_an_earlier_deployment_that_goes_on_is_waited_for(project):
    clients = connect()
    status = {"IngotFleet": "UPDATE_IN_PROGRESS", "IngotBuilder": "REVIEW_IN_PROGRESS"}

    def answer(params, **_more):
        name = params["body"]["StackName"]
        return AWSResponse("", 200, {}, None), {"Stacks": [{"StackName": name, "StackStatus": status[name]}]}

    clients.cloudformation.meta.events.register("before-call.cloudformation.DescribeStacks", answer)
    with pytest.raises(IngotError, match="IngotFleet is still in UPDATE_IN_PROGRESS after 0 s"):
        wait_settled(clients, ("IngotFleet",), progress=lambda _: None, limit=0)
    said = []

    def progress(line):
        said.append(line)
        status["IngotFleet"] = "UPDATE_COMPLETE"

    wait_settled(clients, ("IngotBuilder", "IngotFleet"), progress=progress)
    assert said == [
        "the stack IngotFleet is in UPDATE_IN_PROGRESS: an earlier deployment still runs; waiting for it"
    ]


def test_a_second_deployment_of_the_app_names_the_first_and_touches_nothing(project, capfd):
    with alone(project):
        assert deploy() == 1
    said = capfd.readouterr().err
    assert f"another deployment of this app runs (process {os.getpid()}); wait for it" in said
    assert calls(project) == []
    assert deploy() == 0
