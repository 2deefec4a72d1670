"""Auto Scaling of 1,000 instances: kept, refreshed and ended, by the loop alone and behind the APIs."""

import time

import boto3
import pytest

from localcloud.core import environment
from localcloud.server import CloudServer
from tests.localcloud.conftest import register_empty
from tests.localcloud.services.autoscaling.world import World

SIZE = 1000
# Of the APIs' own cost each instance has some milliseconds, so fewer do; bench/subjects/fleet.py has 1,000.
BY_API = 300


def settle(world, *, done, rounds=400):
    """Step until it is done; what is launched runs at once, and what ends is gone at once."""
    for _ in range(rounds):
        world.up()
        if done():
            return
    raise AssertionError("it does not settle")


@pytest.fixture
def world():
    world = World(min_size=SIZE, max_size=2 * SIZE, desired_capacity=SIZE)
    settle(world, done=lambda: len(world.members) == SIZE)
    return world


class TestTheLoop:
    def test_a_refresh_replaces_all_and_never_leaves_its_bounds(self, world):
        old, sizes = world.ids, []
        world.group.launch_template_version = "2"
        refresh = world.refresh(MinHealthyPercentage=100, MaxHealthyPercentage=110, InstanceWarmup=0)

        def done():
            sizes.append(sum(member.alive for member in world.members))
            return not refresh.active

        settle(world, done=done)
        assert refresh.status == "Successful"
        assert not old & world.ids
        assert min(sizes) == SIZE
        assert SIZE + 25 <= max(sizes) <= SIZE * 110 // 100

    def test_what_is_lost_is_replaced(self, world):
        lost = sorted(world.ids)[:100]
        for instance_id in lost:
            world.cloud.states[instance_id] = "terminated"
        settle(world, done=lambda: len(world.members) == SIZE and not world.ids & set(lost))

    def test_a_step_takes_a_fraction_of_a_second(self, world):
        world.group.launch_template_version = "2"
        world.refresh(InstanceWarmup=0)
        begin = time.process_time()
        for _ in range(10):
            world.step()
        assert (time.process_time() - begin) / 10 < 1.0
        world.group.min_size = world.group.desired_capacity = 0
        begin = time.process_time()
        world.step()
        assert time.process_time() - begin < 3.0, "the choice of whom to end is not quadratic"


@pytest.mark.slow
def test_hundreds_of_stand_ins_are_launched_refreshed_and_ended_by_the_apis(tmp_path):
    server = CloudServer(
        tmp_path, 0, log=lambda _line: None, says=lambda instance, image: f"{instance} of {image}\n"
    )
    context = server.start()
    try:
        keys = environment.variables(context.port, context.access_key)

        def client(service):
            return boto3.client(
                service,
                region_name="us-east-1",
                endpoint_url=context.endpoint,
                aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            )

        ec2, autoscaling = client("ec2"), client("autoscaling")
        image = register_empty(client)
        data = {"ImageId": image, "InstanceType": "t3.small"}
        ec2.create_launch_template(LaunchTemplateName="clones", LaunchTemplateData=data)
        ec2.create_launch_template_version(LaunchTemplateName="clones", LaunchTemplateData=data)
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName="fleet",
            MinSize=0,
            MaxSize=BY_API,
            DesiredCapacity=BY_API,
            VPCZoneIdentifier=",".join(subnets),
            LaunchTemplate={"LaunchTemplateName": "clones", "Version": "1"},
        )

        def members(version=None):
            [group] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["fleet"])[
                "AutoScalingGroups"
            ]
            return {
                member["InstanceId"]
                for member in group["Instances"]
                if member["LifecycleState"] == "InService"
                and version in (None, member["LaunchTemplate"]["Version"])
            }

        def wait(done, seconds=240):
            end = time.monotonic() + seconds
            while not done():
                assert time.monotonic() < end, "it does not settle"
                time.sleep(0.5)

        wait(lambda: len(members("1")) == BY_API)
        one = min(members())
        output = ec2.get_console_output(InstanceId=one, Latest=True)["Output"]
        assert output == f"{one} of {image}\n"
        preferences = {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 100, "InstanceWarmup": 0}
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName="fleet", LaunchTemplate={"LaunchTemplateName": "clones", "Version": "2"}
        )
        refresh = autoscaling.start_instance_refresh(AutoScalingGroupName="fleet", Preferences=preferences)

        def status():
            [found] = autoscaling.describe_instance_refreshes(
                AutoScalingGroupName="fleet", InstanceRefreshIds=[refresh["InstanceRefreshId"]]
            )["InstanceRefreshes"]
            return found["Status"]

        wait(lambda: status() == "Successful")
        assert len(members("2")) == BY_API
        autoscaling.update_auto_scaling_group(AutoScalingGroupName="fleet", DesiredCapacity=0)
        wait(lambda: not members())
    finally:
        server.reset()
        server.stop()
