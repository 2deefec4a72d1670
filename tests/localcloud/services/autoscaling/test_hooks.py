"""Lifecycle hooks, on a clock that we turn: who waits, for how long, and what ends the wait."""

import pytest
from moto.autoscaling.exceptions import AutoscalingClientError

from localcloud.services.autoscaling.hooks import MOST_HOOKS
from localcloud.services.autoscaling.members import ABANDON, CONTINUE, LAUNCHING, TERMINATING
from tests.localcloud.services.autoscaling.world import World


def put(world, name="ready", transition=LAUNCHING, **given):
    world.service.hooks.put("g", name, {"transition": transition, **given})


def states(world):
    return sorted(member.lifecycle_state for member in world.members)


def launched(**hook):
    """Return a world whose two instances run and wait for a hook."""
    world = World()
    put(world, **hook)
    world.step()
    world.cloud.all("pending", "running")
    world.step()
    return world


class TestLaunching:
    def test_an_instance_waits_before_it_serves(self):
        world = launched()
        assert states(world) == ["Pending:Wait", "Pending:Wait"]
        assert world.cloud.targets == {}
        assert {member.activity.status for member in world.members} == {"MidLifecycleAction"}
        first = world.members[0]
        world.service.complete(world.group, "ready", CONTINUE, (None, first.instance_id))
        world.step()
        assert first.lifecycle_state == "Pending:Proceed"
        world.step()
        assert first.lifecycle_state == "InService"
        assert set(world.cloud.targets) == {first.instance_id}
        assert states(world) == ["InService", "Pending:Wait"]

    def test_the_token_of_the_message_completes_it(self):
        world = launched(target="arn:aws:sqs:r:1:q", role="arn:role", metadata="blue")
        test, *messages = world.cloud.messages
        assert test[2]["Event"] == "autoscaling:TEST_NOTIFICATION"
        message = next(m for _, _, m in messages if m["EC2InstanceId"] == "i-1")
        assert message["LifecycleTransition"] == LAUNCHING
        assert (message["Origin"], message["Destination"]) == ("EC2", "AutoScalingGroup")
        assert message["NotificationMetadata"] == "blue"
        world.service.complete(world.group, "ready", CONTINUE, (message["LifecycleActionToken"], None))
        world.up()
        assert {m.instance_id: m.lifecycle_state for m in world.members} == {
            "i-1": "InService",
            "i-2": "Pending:Wait",
        }

    @pytest.mark.parametrize(("result", "state"), [(CONTINUE, "InService"), (ABANDON, None)])
    def test_the_heartbeats_timeout_ends_the_wait(self, result, state):
        world = launched(heartbeat=60, result=result)
        before = world.ids
        world.step(58)
        assert states(world) == ["Pending:Wait", "Pending:Wait"]
        world.step(3)
        world.step()
        if state:
            assert states(world) == [state, state]
        else:
            world.step()
            assert set(world.cloud.terminated) == before

    def test_abandoned_instances_are_replaced(self):
        world = launched()
        gone = world.members[0]
        world.service.complete(world.group, "ready", ABANDON, (None, gone.instance_id))
        world.up()
        assert gone.instance_id in world.cloud.terminated
        assert len([member for member in world.members if member.alive]) == 2
        failed = [a for a in world.service.reconciler.activities["g"] if a.status == "Failed"]
        assert "abandoned" in failed[0].message

    def test_a_heartbeat_prolongs_the_wait_up_to_a_hundred_of_them(self):
        world = launched(heartbeat=30, result=CONTINUE)
        one = (None, world.members[0].instance_id)
        for _ in range(99):
            world.step(29)
            world.service.beat(world.group, "ready", one)
        assert world.members[0].lifecycle_state == "Pending:Wait"
        world.step(29)
        world.service.beat(world.group, "ready", one)
        world.step(29)
        world.service.beat(world.group, "ready", one)
        world.step(29)
        world.step(29)
        world.step()
        assert world.members[0].lifecycle_state == "InService"

    def test_two_hooks_are_both_waited_for_and_one_abandons_both(self):
        world = World()
        put(world, "one")
        put(world, "two")
        world.step()
        world.cloud.all("pending", "running")
        world.step()
        first, second = world.members
        world.service.complete(world.group, "one", CONTINUE, (None, first.instance_id))
        world.service.complete(world.group, "one", ABANDON, (None, second.instance_id))
        world.step()
        world.step()
        assert first.lifecycle_state == "Pending:Wait"
        assert second.lifecycle_state == "Terminating"

    def test_an_instance_that_dies_while_it_waits_is_replaced(self):
        world = launched()
        world.cloud.states["i-1"] = "terminated"
        world.up()
        assert "i-1" not in world.ids
        assert len(world.members) == 2


class TestTerminating:
    @pytest.fixture
    def world(self):
        world = World(desired_capacity=3).up()
        put(world, "drained", TERMINATING, heartbeat=60)
        world.group.desired_capacity = 2
        world.step()
        return world

    def leaving(self, world):
        return next(member for member in world.members if not member.alive)

    def test_an_instance_waits_after_its_requests_and_before_its_end(self, world):
        leaving = self.leaving(world)
        assert leaving.lifecycle_state == "Terminating"
        del world.cloud.targets[leaving.instance_id]  # drained
        world.step()
        assert leaving.lifecycle_state == "Terminating:Wait"
        assert world.cloud.terminated == []
        world.service.complete(world.group, "drained", CONTINUE, (None, leaving.instance_id))
        world.step()
        assert leaving.lifecycle_state == "Terminating:Proceed"
        world.step()
        assert world.cloud.terminated == [leaving.instance_id]
        assert len(world.up().members) == 2

    @pytest.mark.parametrize("result", [CONTINUE, ABANDON])
    def test_it_ends_after_the_timeout_whatever_the_result(self, world, result):
        put(world, "drained", TERMINATING, heartbeat=60, result=result)
        leaving = self.leaving(world)
        del world.cloud.targets[leaving.instance_id]
        world.step()
        world.step(61)
        world.step()
        assert world.cloud.terminated == [leaving.instance_id]

    def test_who_waits_does_not_count_and_is_replaced(self, world):
        world.group.desired_capacity = 3
        world.up()
        assert len([member for member in world.members if member.alive]) == 3

    def test_deleting_the_hook_lets_them_go(self, world):
        leaving = self.leaving(world)
        del world.cloud.targets[leaving.instance_id]
        world.step()
        world.service.hooks.delete("g", "drained", world.members)
        world.step()
        world.step()
        assert world.cloud.terminated == [leaving.instance_id]

    def test_a_group_that_is_deleted_waits_for_nobody(self, world):
        world.service.deleting.add("g")
        world.up()
        assert world.groups == []

    def test_who_ended_by_itself_waits_for_no_hook(self, world):
        world.up()
        victim = next(member for member in world.members if member.alive)
        world.cloud.states[victim.instance_id] = "terminated"
        world.step()
        world.step()
        assert victim.instance_id not in world.ids


def test_a_refresh_waits_for_the_hook():
    world = World().up()
    put(world)
    old = world.ids
    world.group.launch_template_version = "2"
    refresh = world.refresh(InstanceWarmup=0)
    world.up()
    assert refresh.active
    assert old <= world.ids
    for member in world.members:
        if member.actions:
            world.service.complete(world.group, "ready", CONTINUE, (None, member.instance_id))
    world.up()
    world.up()
    assert refresh.status == "Successful"
    assert not old & world.ids


class TestRefusals:
    # API reference, PutLifecycleHook; "Quotas for Auto Scaling resources and groups".
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"transition": None}, "Lifecycle transition is required"),
            ({"transition": "autoscaling:SOMETHING"}, "Lifecycle transition is required"),
            ({"heartbeat": 29}, "HeartbeatTimeout must be between 30 and 7200"),
            ({"heartbeat": 7201}, "HeartbeatTimeout must be between 30 and 7200"),
            ({"result": "PERHAPS"}, "DefaultResult must be CONTINUE or ABANDON"),
            ({"target": "arn:aws:sqs:r:1:q"}, "A notification target needs a RoleARN"),
            ({"role": "arn:role"}, "valid with a notification target only"),
            (
                {"target": "arn:aws:sqs:r:1:lost", "role": "arn:role"},
                "Unable to publish test message to notification target arn:aws:sqs:r:1:lost using IAM role "
                "arn:role. Please check your target and role configuration",
            ),
        ],
    )
    def test_what_cannot_be(self, given, message):
        world = World()
        with pytest.raises(AutoscalingClientError, match="ValidationError") as caught:
            put(world, **given)
        assert message in caught.value.message
        assert world.service.hooks.of("g") == []

    def test_a_group_has_50_hooks(self):
        world = World()
        for number in range(MOST_HOOKS):
            put(world, f"h{number}")
        with pytest.raises(AutoscalingClientError, match="LimitExceeded"):
            put(world, "one-more")
        put(world, "h0", heartbeat=60)  # one that is there may change

    @pytest.mark.parametrize(
        ("who", "message"),
        [
            ((None, "i-404"), "No active Lifecycle Action found with instance ID i-404"),
            (("no-token", "i-1"), "No active Lifecycle Action found with token no-token"),
        ],
    )
    def test_only_what_waits_is_completed(self, who, message):
        world = launched()
        with pytest.raises(AutoscalingClientError) as caught:
            world.service.complete(world.group, "ready", CONTINUE, who)
        assert caught.value.message == message
        with pytest.raises(AutoscalingClientError, match="No active Lifecycle Action"):
            world.service.beat(world.group, "other", (None, "i-1"))
