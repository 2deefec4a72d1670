"""Auto Scaling: capacity and health, on a clock that we turn."""

import pytest
from moto.autoscaling.exceptions import AutoscalingClientError

from localcloud.services.autoscaling.members import members_of
from localcloud.services.autoscaling.reconcile import surplus
from tests.localcloud.services.autoscaling.world import Group, World


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

    def test_who_does_not_serve_goes_before_the_zones_are_even(self, world):
        world.group.desired_capacity = 4
        world.up()
        newest = max(world.members, key=lambda member: member.launched)
        for member in world.members:
            member.instance.placement.zone = "b" if member is newest else "a"
        world.cloud.targets[newest.instance_id] = "initial"
        world.group.desired_capacity = 3
        world.step()
        assert [m for m in world.members if not m.alive] == [newest]

    def test_protected_instances_stay(self, world):
        for member in world.members:
            member.protected_from_scale_in = True
        assert surplus(world.members, 1, {}, lambda member: True) == []

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


def test_a_deleted_group_empties_first(world):
    world.service.deleting.add("g")
    world.step()
    assert world.groups
    world.up()
    assert world.groups == []


class TestDeletedVersion:
    @pytest.fixture
    def world(self):
        """A group whose launch template lost its version, as moto says it, and another group after it."""
        world = World().up()
        world.group.ec2_launch_template.delete("1")
        world.groups.append(Group(name="other"))
        return world

    def test_it_starves_no_other_group_and_its_activities_tell(self, world):
        world.cloud.states[world.members[0].instance_id] = "terminated"
        world.up()
        assert len(members_of(world.groups[1])) == 2
        [line, *_] = world.service.reconciler.activities["g"]
        assert line.status == "Failed"
        assert "InvalidLaunchTemplateId.VersionNotFound" in line.shown()["StatusMessage"]

    def test_the_group_can_still_shrink(self, world):
        world.group.min_size = world.group.desired_capacity = 1
        world.up()
        assert len(world.members) == 1

    def test_a_refresh_is_refused(self, world):
        with pytest.raises(AutoscalingClientError, match="VersionNotFound") as error:
            world.refresh()
        assert error.value.code == "ValidationError"


def test_a_group_that_cannot_be_stepped_starves_no_other():
    world = World()
    world.group.target_group_arns = None  # nothing that the loop expects
    world.groups.append(Group(name="other"))
    world.up()
    assert len(members_of(world.groups[1])) == 2
