"""Scheduled actions, on a clock that we turn: it begins on Monday, 30 November 2026, at 7:00 UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from moto.autoscaling.exceptions import AutoscalingClientError

from localcloud.services.autoscaling.recurrence import parse
from localcloud.services.autoscaling.schedules import MOST_ACTIONS
from tests.localcloud.services.autoscaling.world import START, World

HOUR = 3600


@pytest.fixture
def world():
    return World().up()


def put(world, name="more", **given):
    world.service.schedules.put(world.group, name, given)


def at(hours):
    return START + timedelta(hours=hours)


class TestRuns:
    def test_an_action_runs_once_at_its_time_and_is_gone(self, world):
        put(world, start=at(1), maximum=6, desired=5)
        world.step(HOUR - world.now - 1)
        assert world.group.desired_capacity == 2
        world.step(1)
        assert (world.group.max_size, world.group.desired_capacity) == (6, 5)
        assert world.service.schedules.of("g") == []
        assert len(world.up().members) == 5

    def test_a_recurring_action_runs_day_by_day_until_its_end(self, world):
        put(world, recurrence="0 8 * * *", desired=3, end=at(26))
        [action] = world.service.schedules.of("g")
        assert action.start == at(1)
        world.step(HOUR)
        assert world.group.desired_capacity == 3
        [action] = world.service.schedules.of("g")
        assert action.start == at(25)
        world.group.desired_capacity = 2
        world.step(24 * HOUR)
        assert world.group.desired_capacity == 3
        assert world.service.schedules.of("g") == []

    def test_a_start_comes_before_the_recurrence(self, world):
        put(world, start=at(2), recurrence="30 12 * * *", desired=3)
        world.step(2 * HOUR)
        assert world.group.desired_capacity == 3
        [action] = world.service.schedules.of("g")
        assert action.start == at(5.5)

    def test_new_bounds_alone_move_the_desired_capacity(self, world):
        put(world, start=at(1), minimum=3)
        put(world, "less", start=at(2), minimum=0, maximum=1)
        world.step(HOUR)
        assert world.group.desired_capacity == 3
        world.step(HOUR)
        assert world.group.desired_capacity == 1

    def test_bounds_that_would_cross_those_of_the_group_change_nothing(self, world):
        put(world, start=at(1), minimum=9)
        world.step(HOUR)
        assert (world.group.min_size, world.group.max_size, world.group.desired_capacity) == (2, 4, 2)

    def test_a_suspended_process_lets_an_action_pass(self, world):
        put(world, start=at(1), desired=4)
        world.group.suspended_processes = [{"ProcessName": "ScheduledActions"}]
        world.step(HOUR)
        world.group.suspended_processes = []
        world.step(HOUR)
        assert world.group.desired_capacity == 2

    def test_actions_that_are_due_together_run_by_their_times(self, world):
        put(world, "a", start=at(2), desired=3)
        put(world, "b", start=at(1), desired=4)
        world.step(3 * HOUR)
        assert world.group.desired_capacity == 3

    def test_a_deleted_group_takes_its_actions_along(self, world):
        put(world, start=at(1), desired=3)
        world.service.deleting.add("g")
        world.up()
        assert world.service.schedules.all() == []


class TestRefusals:
    # The texts are what users of AWS report of PutScheduledUpdateGroupAction, where such a report was found.
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"start": at(-1), "desired": 3}, "Given start time is in the past"),
            (
                {"recurrence": "0 0 6 * * 1-5", "desired": 3},
                "Given recurrence string: 0 0 6 * * 1-5 is invalid",
            ),
            ({"recurrence": "0 6 ? * *", "desired": 3}, "Given recurrence string: 0 6 ? * * is invalid"),
            ({"recurrence": "0 24 * * *", "desired": 3}, "Given recurrence string: 0 24 * * * is invalid"),
            (
                {"recurrence": "0 6 * * *", "minimum": 2, "desired": 0},
                "Desired capacity must be greater than or equal to min size",
            ),
            ({"recurrence": "0 6 * * *", "minimum": 2, "maximum": 1}, "Max size must be greater"),
            ({"recurrence": "0 6 * * *", "maximum": 2, "desired": 3}, "Desired capacity must be less"),
            ({"recurrence": "0 6 * * *"}, "MinSize, MaxSize or DesiredCapacity must be specified"),
            ({"desired": 3}, "A start time or a recurrence must be specified"),
            (
                {"recurrence": "0 6 * * *", "zone": "Mars/Base", "desired": 3},
                "time zone Mars/Base is invalid",
            ),
            ({"start": at(2), "end": at(1), "desired": 3}, "end time is not after the start time"),
        ],
    )
    def test_what_cannot_be(self, world, given, message):
        with pytest.raises(AutoscalingClientError, match="ValidationError") as caught:
            put(world, **given)
        assert message in caught.value.message
        assert world.service.schedules.all() == []

    def test_a_time_has_one_action(self, world):
        put(world, "a", start=at(1), desired=3)
        with pytest.raises(AutoscalingClientError, match="AlreadyExists"):
            put(world, "b", start=at(1), desired=4)
        put(world, "a", start=at(1), desired=4)  # the same one may change

    def test_a_group_has_125_actions(self, world):
        for number in range(MOST_ACTIONS):
            put(world, f"a{number}", start=at(number + 1), desired=3)
        with pytest.raises(AutoscalingClientError, match="LimitExceeded"):
            put(world, "one-more", start=at(999), desired=3)

    def test_what_a_change_leaves_out_stays(self, world):
        put(world, recurrence="0 8 * * *", minimum=1, maximum=3)
        put(world, maximum=4)
        [action] = world.service.schedules.of("g")
        assert (action.minimum, action.maximum, action.start) == (1, 4, at(1))


@pytest.mark.parametrize(
    ("text", "zone", "wanted"),
    [
        ("*/15 * * * *", "UTC", "2026-11-30T07:15"),
        ("0 9-17/4 * * MON-FRI", "UTC", "2026-11-30T09:00"),
        ("30 7 * * mon", "Europe/Berlin", "2026-12-07T06:30"),
        ("0 0 13 * 5", "UTC", "2026-12-04T00:00"),  # the 13th, or a Friday
        ("0 0 29 2 *", "UTC", "2028-02-29T00:00"),
        ("0 6 * 1,7 7", "UTC", "2027-01-03T06:00"),  # 7 is Sunday
        ("0 6 * JAN 0", "UTC", "2027-01-03T06:00"),
        # The clock goes from 2:00 to 3:00 on 28 March 2027.
        ("30 2 28 3 *", "Europe/Berlin", "2027-03-28T01:30"),
    ],
)
def test_the_next_time_of_a_recurrence(text, zone, wanted):
    found = parse(text, ZoneInfo(zone)).after(START)
    assert found == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


def test_a_day_that_never_comes():
    assert parse("0 0 31 2 *", ZoneInfo("UTC")).after(START) is None
