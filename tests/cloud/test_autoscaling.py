"""Auto Scaling and instance refresh, with EC2 and the load balancer played by a driver of our own and a clock that we turn."""

import itertools
from types import SimpleNamespace

import pytest
from moto.autoscaling.exceptions import AutoscalingClientError

from ingot.errors import CloudError
from ingot.localcloud.autoscaling.members import members_of
from ingot.localcloud.autoscaling.reconcile import surplus
from ingot.localcloud.autoscaling.refresh import bounds
from ingot.localcloud.autoscaling.service import AutoScaling

TARGETS = "arn:tg"


class Template:
    """A launch template with versions 1, 2, …"""

    id, name = "lt-1", "clones"

    def __init__(self, versions=2):
        self.versions = versions

    def get_version(self, version):
        return SimpleNamespace(number=self.versions if version == "$Latest" else int(version))


class Group(SimpleNamespace):
    """What of moto's record of a group counts."""

    def __init__(self, **changed):
        given = {
            "name": "g", "min_size": 2, "max_size": 4, "desired_capacity": 2, "instance_states": [], "suspended_processes": [],
            "target_group_arns": [TARGETS], "health_check_type": "ELB", "health_check_grace_period": 300,
            "vpc_zone_identifier": "subnet-a,subnet-b", "ec2_launch_template": Template(), "launch_template_version": "1",
            "new_instances_protected_from_scale_in": False,
        }  # fmt: skip
        super().__init__(**(given | changed))

    def _set_launch_configuration(self, name, template, mixed):
        self.launch_template_version = template["Version"]


class FakeCloud:
    """The driver: instances change state only when a test says so, or at once where it does not matter."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.states = {}
        self.registered = []
        self.targets = {}  # instance id -> health
        self.refusal = None
        self.alarms = set()
        self.terminated = []

    def launch(self, group, template, subnet_id):
        if self.refusal:
            raise CloudError(self.refusal)
        made = SimpleNamespace(
            id=f"i-{next(self.numbers)}", subnet_id=subnet_id, instance_type="t3.small",
            placement=SimpleNamespace(zone=subnet_id[-1]),
        )  # fmt: skip
        self.states[made.id] = "pending"
        return made

    def state(self, instance):
        return self.states[instance.id], ""

    def terminate(self, instance):
        self.terminated.append(instance.id)
        self.states[instance.id] = "shutting-down"

    def register(self, target_group, instance):
        self.targets[instance.id] = "initial"

    def deregister(self, target_group, instance):
        if instance.id in self.targets:
            self.targets[instance.id] = "draining"

    def health(self, target_group, instance):
        return self.targets.get(instance.id, "unused")

    def alarm(self, name):
        return name in self.alarms

    def all(self, before, after):
        for instance_id, state in self.states.items():
            if state == before:
                self.states[instance_id] = after


class World:
    """A group, its cloud, and the steps of the service."""

    def __init__(self, **changed):
        self.now = 0.0
        self.cloud = FakeCloud()
        self.group = Group(**changed)
        self.groups = [self.group]
        self.service = AutoScaling(
            self.cloud,
            lambda: self.groups,
            log=lambda line: None,
            forget=self.groups.remove,
            clock=lambda: self.now,
        )

    def step(self, seconds=1.0):
        self.now += seconds
        self.service.step()

    def up(self, health="healthy"):
        """Let all launched instances run and pass their checks, and those that end be gone."""
        for _ in range(4):
            self.step()
            self.cloud.all("pending", "running")
            self.step()
            for instance_id, known in list(self.cloud.targets.items()):
                if known == "initial":
                    self.cloud.targets[instance_id] = health
                elif known == "draining":
                    del self.cloud.targets[instance_id]
            self.step()
            self.cloud.all("shutting-down", "terminated")
        self.step()
        return self

    @property
    def members(self):
        return members_of(self.group)

    @property
    def ids(self):
        return {member.instance_id for member in self.members}

    def versions(self):
        return sorted(member.launch_template["Version"] for member in self.members)

    def refresh(self, **preferences):
        given = {
            "MinHealthyPercentage": 100,
            "MaxHealthyPercentage": 200,
            "InstanceWarmup": 30,
            "SkipMatching": True,
        }
        desired = preferences.pop("desired", None)
        return self.service.start_refresh(self.group, preferences=given | preferences, desired=desired)


@pytest.fixture
def world():
    return World().up()


class TestCapacity:
    def test_the_desired_capacity_is_launched_over_the_subnets(self, world):
        assert [member.lifecycle_state for member in world.members] == ["InService", "InService"]
        assert {member.availability_zone for member in world.members} == {"a", "b"}
        assert set(world.cloud.targets) == world.ids

    def test_a_bound_holds_whatever_is_desired(self):
        world = World(desired_capacity=9).up()
        assert len(world.members) == 4

    def test_scaling_in_takes_the_old_template_first_and_drains(self, world):
        world.group.launch_template_version = "2"
        world.group.desired_capacity = 3
        world.up()
        world.group.desired_capacity = 2
        world.step()
        [leaving] = [member for member in world.members if member.lifecycle_state == "Terminating"]
        assert leaving.launch_template["Version"] == "1"
        assert leaving.instance_id not in world.cloud.terminated
        assert leaving.activity.status == "WaitingForELBConnectionDraining"
        world.up()
        assert len(world.members) == 2

    def test_protected_instances_stay(self, world):
        for member in world.members:
            member.protected_from_scale_in = True
        assert surplus(world.members, 1, {}) == []

    def test_what_ec2_refuses_is_tried_again_later_and_told(self):
        world = World()
        world.cloud.refusal = "InsufficientInstanceCapacity: none left"
        world.step()
        world.step()
        lines = list(world.service.reconciler.activities["g"])
        assert [line.status for line in lines] == ["Failed"]  # the second step waits
        assert "none left" in lines[0].shown()["StatusMessage"]
        world.cloud.refusal = None
        world.step(10)
        assert len(world.members) == 2


class TestHealth:
    def test_a_killed_clone_is_replaced(self, world):
        victim = world.members[0].instance_id
        world.cloud.states[victim] = "stopped"
        world.up()
        assert victim not in world.ids
        assert victim in world.cloud.terminated
        assert len(world.members) == 2

    def test_the_grace_period_protects_from_the_load_balancer_only(self, world):
        first, second = world.members
        world.cloud.targets[first.instance_id] = "unhealthy"
        world.cloud.states[second.instance_id] = "terminated"
        world.up()
        assert first.instance_id in world.ids
        assert second.instance_id not in world.ids
        world.step(300)
        world.cloud.targets[first.instance_id] = "unhealthy"
        world.up()
        assert first.instance_id not in world.ids

    def test_health_type_ec2_takes_no_word_from_the_load_balancer(self):
        world = World(health_check_type="EC2", health_check_grace_period=0).up("unhealthy")
        before = world.ids
        world.up()
        assert world.ids == before

    def test_a_user_may_call_one_unhealthy(self, world):
        world.members[0].health_status = "Unhealthy"
        before = world.ids
        world.up()
        assert len(world.ids & before) == 1
        assert len(world.ids) == 2

    def test_suspended_processes_do_nothing(self, world):
        world.group.suspended_processes = [{"ProcessName": "ReplaceUnhealthy"}]
        world.cloud.states[world.members[0].instance_id] = "stopped"
        before = world.ids
        world.up()
        assert world.ids == before


class TestRefresh:
    def test_new_ones_serve_before_old_ones_go(self, world):
        old = world.ids
        world.group.launch_template_version = "2"
        refresh = world.refresh()
        world.step()
        assert len(world.ids) == 4
        world.cloud.all("pending", "running")
        world.step(60)
        assert old <= world.ids  # they run, but the load balancer has not found them healthy yet
        assert not world.cloud.terminated
        world.up()
        world.step(60)
        world.up()
        assert refresh.status == "Successful"
        assert refresh.percentage == 100
        assert world.versions() == ["2", "2"]
        assert next(world.cloud.numbers) == 5  # nothing was launched in vain

    def test_warm_up_is_waited_for(self, world):
        old = world.ids
        world.group.launch_template_version = "2"
        world.refresh(InstanceWarmup=1000)
        world.up()
        assert old <= world.ids
        world.step(1000)
        world.up()
        assert not old & world.ids

    def test_without_room_above_one_at_a_time_goes_first(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh(MaxHealthyPercentage=100, MinHealthyPercentage=90, InstanceWarmup=0)
        world.step()
        assert sum(member.lifecycle_state == "Terminating" for member in world.members) == 1
        for _ in range(4):
            world.up()
        assert refresh.status == "Successful"
        assert world.versions() == ["2", "2"]

    def test_what_matches_is_skipped(self, world):
        before = world.ids
        refresh = world.refresh()
        world.up()
        assert (refresh.status, world.ids) == ("Successful", before)

    def test_without_skip_matching_all_are_replaced(self, world):
        before = world.ids
        world.refresh(SkipMatching=False, InstanceWarmup=0)
        for _ in range(3):
            world.up()
        assert not before & world.ids

    def test_clones_that_never_get_well_fail_it_and_the_old_ones_stay(self, world):
        old = world.ids
        world.group.launch_template_version = "2"
        world.group.health_check_grace_period = 10
        refresh = world.refresh()
        for _ in range(4):
            world.up("unhealthy")
            world.step(20)
        assert refresh.status == "Failed"
        assert "did not become healthy" in refresh.reason
        assert old <= world.ids

    def test_auto_rollback_goes_back_to_the_version_before(self, world):
        old = world.ids
        world.group.health_check_grace_period = 10
        desired = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "2"}}
        refresh = world.refresh(AutoRollback=True, desired=desired)
        for _ in range(4):
            world.up("unhealthy")
            world.step(20)
        world.up()
        assert refresh.status == "RollbackSuccessful"
        assert world.group.launch_template_version == "1"
        assert world.versions() == ["1", "1"]
        assert old <= world.ids
        assert refresh.shown()["RollbackDetails"]["RollbackReason"]

    def test_an_alarm_ends_it(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh(AlarmSpecification={"Alarms": ["errors"]})
        world.cloud.alarms.add("errors")
        world.step()
        assert refresh.status == "Failed"
        assert "errors" in refresh.reason

    def test_a_checkpoint_waits_for_its_delay(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh(InstanceWarmup=0, CheckpointPercentages=[50, 100], CheckpointDelay=600)
        for _ in range(3):
            world.up()
        assert refresh.percentage == 50
        assert world.versions() == ["1", "2"]
        world.step(600)
        for _ in range(3):
            world.up()
        assert refresh.status == "Successful"

    def test_bake_time_keeps_it_open(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh(InstanceWarmup=0, BakeTime=500)
        for _ in range(3):
            world.up()
        assert refresh.status == "Baking"
        world.step(500)
        assert refresh.status == "Successful"

    def test_cancelling_leaves_what_is_there(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh()
        world.up()
        world.service.cancel_refresh("g")
        world.up()
        assert refresh.status == "Cancelled"
        assert len(world.members) == 2

    def test_errors_of_the_api(self, world):
        with pytest.raises(AutoscalingClientError) as error:
            world.service.cancel_refresh("g")
        assert error.value.code == "ActiveInstanceRefreshNotFound"
        world.group.launch_template_version = "2"
        world.refresh()
        with pytest.raises(AutoscalingClientError) as error:
            world.refresh()
        assert error.value.code == "InstanceRefreshInProgress"
        with pytest.raises(AutoscalingClientError) as error:
            world.service.rollback_refresh(world.group)
        assert error.value.code == "IrreversibleInstanceRefresh"

    @pytest.mark.parametrize(
        "preferences",
        [
            {"MinHealthyPercentage": 101},
            {"MaxHealthyPercentage": 99},
            {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200},
            {"AutoRollback": True},
            {
                "AutoRollback": True,
                "desired": {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "$Latest"}},
            },
            {"CheckpointPercentages": [100, 50]},
        ],
    )
    def test_contradictions_are_refused(self, world, preferences):
        with pytest.raises(AutoscalingClientError) as error:
            world.refresh(**preferences)
        assert error.value.code == "ValidationError"

    def test_bounds(self):
        assert bounds(2, {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}) == (2, 4)
        assert bounds(10, {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 100}) == (9, 10)
        assert bounds(2, {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110}) == (2, 3)
        assert bounds(3, {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 100}) == (2, 3)


def test_a_deleted_group_empties_first(world):
    world.service.deleting.add("g")
    world.step()
    assert world.groups
    world.up()
    assert world.groups == []


def test_waiting_for_a_refresh_raises_its_reason(world):
    world.group.launch_template_version = "2"
    world.cloud.alarms.add("errors")
    world.service.start()
    try:
        with pytest.raises(CloudError, match=r"Failed.*errors"):
            world.service.refresh_and_wait(
                world.group, {"Preferences": {"AlarmSpecification": {"Alarms": ["errors"]}}}
            )
    finally:
        world.service.stop()
