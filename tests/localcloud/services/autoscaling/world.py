"""Auto Scaling with EC2 and the load balancer played by a driver of our own and a clock that we turn."""

import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from moto.ec2.exceptions import InvalidLaunchTemplateVersionNotFound

from ingot.errors import CloudError
from localcloud.services.autoscaling.members import members_of
from localcloud.services.autoscaling.service import AutoScaling, Clock

TARGETS = "arn:tg"
START = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)  # a Monday


class Template:
    """A launch template with versions 1, 2, …"""

    id, name = "lt-1", "clones"

    def __init__(self, versions=2):
        self.versions = versions
        self.deleted = set()

    def delete(self, version):
        self.deleted.add(version)

    def get_version(self, version):
        if version in self.deleted:
            raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=version)
        return SimpleNamespace(number=self.versions if version == "$Latest" else int(version))


class Group(SimpleNamespace):
    """What of moto's record of a group counts."""

    def __init__(self, **changed):
        given = {
            "name": "g", "min_size": 2, "max_size": 4, "desired_capacity": 2,
            "instance_states": [], "suspended_processes": [], "target_group_arns": [TARGETS],
            "health_check_type": "ELB", "health_check_grace_period": 300,
            "vpc_zone_identifier": "subnet-a,subnet-b", "ec2_launch_template": Template(),
            "launch_template_version": "1", "new_instances_protected_from_scale_in": False,
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
        self.alarms = {}  # name -> state; OK where there is none
        self.terminated = []
        self.messages = []  # (target, role, message)

    def launch(self, group, template, subnet_id):
        if self.refusal:
            raise CloudError(self.refusal)
        instance = SimpleNamespace(
            id=f"i-{next(self.numbers)}", subnet_id=subnet_id, instance_type="t3.small",
            placement=SimpleNamespace(zone=subnet_id[-1]),
        )  # fmt: skip
        self.states[instance.id] = "pending"
        return instance

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
        return self.alarms.get(name, "OK")

    def notify(self, target, role, message):
        if "lost" in target:
            raise CloudError("there is no such queue")
        self.messages.append((target, role, message))

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
            clock=Clock(lambda: self.now, lambda: START + timedelta(seconds=self.now)),
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
