"""Instance refresh, on a clock that we turn."""

import pytest
from moto.autoscaling.exceptions import AutoscalingClientError

from ingot.errors import CloudError
from localcloud.services.autoscaling.refresh import bounds
from tests.localcloud.services.autoscaling.world import World


@pytest.fixture
def world():
    return World().up()


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
        world.cloud.alarms["errors"] = "ALARM"
        world.step()
        assert refresh.status == "Failed"
        assert "errors" in refresh.reason

    @pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
    def test_none_starts_while_an_alarm_is_not_ok(self, world, state):
        world.cloud.alarms["errors"] = state
        with pytest.raises(AutoscalingClientError, match=rf"errors \({state}\)") as error:
            world.refresh(AlarmSpecification={"Alarms": ["errors"]})
        assert error.value.code == "ValidationError"

    def test_nothing_is_replaced_while_an_alarm_has_no_data(self, world):
        world.group.launch_template_version = "2"
        refresh = world.refresh(AlarmSpecification={"Alarms": ["errors"]})
        world.cloud.alarms["errors"] = "INSUFFICIENT_DATA"
        world.up()
        assert (refresh.status, world.versions()) == ("Pending", ["1", "1"])
        assert refresh.reason == "Waiting for data of: errors"
        world.cloud.alarms["errors"] = "OK"
        for _ in range(3):
            world.up()
            world.step(30)
        assert (refresh.status, refresh.reason, world.versions()) == ("Successful", "", ["2", "2"])

    @pytest.mark.parametrize("desired", [1, 2])
    @pytest.mark.parametrize("end", ["waits", "fails", "cancelled"])
    def test_a_refresh_that_stops_keeps_the_clones_that_serve(self, desired, end):
        world = World(min_size=1, desired_capacity=desired).up()
        old = world.ids
        world.group.launch_template_version = "2"
        world.refresh(MaxHealthyPercentage=110, AlarmSpecification={"Alarms": ["errors"]})
        world.step()
        world.cloud.all("pending", "running")
        world.step()  # the new clone is in service, but the load balancer has not found it healthy yet
        if end == "cancelled":
            world.service.cancel_refresh("g")
        else:
            world.cloud.alarms["errors"] = {"waits": "INSUFFICIENT_DATA", "fails": "ALARM"}[end]
        world.step()
        assert {i for i, health in world.cloud.targets.items() if health == "healthy"} == old
        new = [member for member in world.members if member.instance_id not in old]
        assert [member.alive for member in new] == [end == "waits"]

    def test_a_group_that_shrinks_does_so_while_its_refresh_waits(self, world):
        world.group.launch_template_version = "2"
        world.refresh(MaxHealthyPercentage=110, AlarmSpecification={"Alarms": ["errors"]})
        world.step()
        assert len(world.members) == 3
        world.cloud.alarms["errors"] = "INSUFFICIENT_DATA"
        world.group.min_size = world.group.desired_capacity = 1
        world.step()
        assert sum(member.alive for member in world.members) == 2

    def test_an_alarm_does_not_stop_the_way_back(self, world):
        desired = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "2"}}
        refresh = world.refresh(desired=desired, AutoRollback=True, AlarmSpecification={"Alarms": ["errors"]})
        world.step()
        world.cloud.alarms["errors"] = "ALARM"
        for _ in range(3):
            world.up()
            world.step(30)
        assert (refresh.status, world.versions()) == ("RollbackSuccessful", ["1", "1"])

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


def test_waiting_for_a_refresh_raises_its_reason(world):
    world.group.launch_template_version = "2"
    world.cloud.alarms["errors"] = "ALARM"
    world.service.start()
    try:
        with pytest.raises(CloudError, match=r"Instance refresh of g: .*errors \(ALARM\)"):
            world.service.refresh_and_wait(
                world.group, {"Preferences": {"AlarmSpecification": {"Alarms": ["errors"]}}}
            )
    finally:
        world.service.stop()
