"""How long a rollout takes: by hand where that is possible, and beside the local cloud's own refreshes."""

from dataclasses import replace

import pytest

from ingot.plan.forecast import SIZES, Course, Forecast, Times, courses, forecast, forecasts
from ingot.quantities import duration
from tests.localcloud.services.autoscaling.world import World

TIMES = Times(running=10, healthy=60, draining=15, in_place=90)
ALL_FIRST = Course("this template", 100, 200, warm_up=30)


@pytest.mark.parametrize(
    ("course", "clones", "seconds", "most"),
    [
        (ALL_FIRST, 4, 60 + 15, 8),
        (replace(ALL_FIRST, warm_up=100), 4, 10 + 100 + 15, 8),
        (replace(ALL_FIRST, bake=600), 4, 60 + 15 + 600, 8),
        # A tenth at a time: ten waves; the last old ones drain at the end.
        (replace(ALL_FIRST, most=110), 100, 10 * 60 + 15, 120),
        (Course("x", 90, 100), 100, 10 * 60, 110),
        # One clone cannot be nine tenths of one: it goes first.
        (Course("x", 90, 100), 1, 60, 2),
        (Course("x", 90, 100, in_place=True), 100, 10 * 90, 100),
        # Waits when a tenth and a half serve.
        (Course("x", 90, 100, checkpoints=(10, 50, 100), delay=300), 100, 10 * 60 + 2 * 300, 110),
    ],
)
def test_what_can_be_counted_by_hand(course, clones, seconds, most):
    found = forecast(course, TIMES, clones)
    assert (found.seconds, found.most) == (seconds, most)
    assert found.curve[0] == (0.0, 0)
    assert found.curve[-1][1] == clones


def test_what_the_others_cost_meanwhile():
    found = forecast(ALL_FIRST, TIMES, 100, price=0.02)
    assert found.extra_hours == pytest.approx(100 * 75 / 3600)
    assert found.usd == pytest.approx(found.extra_hours * 0.02)
    assert forecast(ALL_FIRST, TIMES, 100).usd is None
    assert forecast(Course("x", 90, 100, in_place=True), TIMES, 100, price=1.0).usd == 0


def test_ec2s_rate_of_launches_holds_a_very_large_group_up():
    assert forecast(ALL_FIRST, TIMES, 1000).seconds == 75
    assert forecast(ALL_FIRST, TIMES, 3000).seconds == pytest.approx(2000 / 2 + 75, abs=2)


def test_a_forecast_survives_json():
    found = forecast(ALL_FIRST, TIMES, 10, price=0.02)
    assert Forecast.from_json(found.to_json()) == found


def test_the_template_comes_first_and_no_course_twice():
    assert [course.name for course in courses(ALL_FIRST)] == [
        "this template",
        "a tenth more at a time",
        "a tenth away at a time",
        "new root volumes, a tenth at a time",
    ]
    found = list(forecasts(ALL_FIRST, TIMES, 4, None))
    assert [one.clones for one in found[:5]] == sorted([4, *SIZES])
    assert len(list(forecasts(ALL_FIRST, TIMES, 10, None))) == 4 * len(SIZES)


@pytest.mark.parametrize(
    ("seconds", "said"), [(75, "75 s"), (600, "10 min"), (7200, "2 h"), (8100, "2 h 15 min")]
)
def test_seconds_for_people(seconds, said):
    assert duration(seconds) == said


class Refreshed(World):
    """A world whose clones take what `TIMES` says."""

    def __init__(self, clones):
        super().__init__(min_size=clones, max_size=2 * clones, desired_capacity=clones)
        self.events = []
        while len(self.members) < clones or any(m.lifecycle_state != "InService" for m in self.members):
            self.up()
        self.seen = set(self.cloud.states)
        self.draining = set()

    def step(self, seconds=1.0):
        super().step(seconds)
        if not hasattr(self, "seen"):
            return
        launched = 0
        while launched != len(self.cloud.states):  # where more are to be launched, it looks again at once
            launched = len(self.cloud.states)
            self.service.step()
        for instance in set(self.cloud.states) - self.seen:
            self.seen.add(instance)
            self.events.append((self.now + TIMES.running, "running", instance))
            self.events.append((self.now + TIMES.healthy, "healthy", instance))
        for instance, health in self.cloud.targets.items():
            if health == "draining" and instance not in self.draining:
                self.draining.add(instance)
                self.events.append((self.now + TIMES.draining, "gone", instance))
        due = [event for event in self.events if event[0] <= self.now]
        self.events = [event for event in self.events if event[0] > self.now]
        for _, what, instance in sorted(due):
            if what == "running":
                self.cloud.states[instance] = "running"
            elif what == "healthy":
                self.cloud.targets[instance] = "healthy"
            else:
                self.cloud.targets.pop(instance, None)
        for instance in self.cloud.terminated:
            self.cloud.states[instance] = "terminated"

    def seconds_of_refresh(self, course):
        self.group.launch_template_version = "2"
        began = self.now
        refresh = self.refresh(
            MinHealthyPercentage=course.least,
            MaxHealthyPercentage=course.most,
            InstanceWarmup=course.warm_up,
            CheckpointPercentages=list(course.checkpoints) or None,
            CheckpointDelay=course.delay,
        )
        while refresh.active:
            self.step()
            assert self.now - began < 36_000
        assert refresh.status == "Successful", refresh.reason
        return self.now - began


# What the two may differ by: the local cloud looks once a second, and takes a look or two from one wave to
# the next. docs/plan.md states it.
ERROR = 0.06


@pytest.mark.parametrize("clones", SIZES)
@pytest.mark.parametrize(
    "course",
    [
        ALL_FIRST,
        replace(ALL_FIRST, most=110),
        Course("x", 90, 100, warm_up=30),
        replace(ALL_FIRST, most=150, checkpoints=(50, 100), delay=300),
    ],
    ids=["all first", "a tenth more", "a tenth away", "a checkpoint"],
)
def test_the_local_clouds_refreshes_take_as_long(course, clones):
    took = Refreshed(clones).seconds_of_refresh(course)
    expected = forecast(course, TIMES, clones).seconds
    assert took == pytest.approx(expected, rel=ERROR, abs=5), (took, expected)
