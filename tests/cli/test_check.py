import json
import subprocess
import sys

import pytest

from tests.constructs.recipes import LOCK
from tests.project import PACKAGE

RECIPE = "name: {name}\nbase: {{ami: {{ssm: /aws/x}}}}\nroot_volume: {{size: 2GiB}}\n"


@pytest.fixture
def ingot(tmp_path):
    """Runs the command line in a directory with the recipes `one` and `two`."""
    for name in ("one", "two"):
        directory = tmp_path / "image_recipes" / name
        directory.mkdir(parents=True)
        (directory / "recipe.yaml").write_text(RECIPE.format(name=name))

    def run(*arguments):
        command = [sys.executable, "-m", "ingot.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    run.recipes = tmp_path / "image_recipes"
    return run


def test_all_recipes_are_checked_and_named(ingot):
    done = ingot("check")
    assert (done.returncode, done.stdout) == (0, "one: ok\ntwo: ok\n"), done.stderr


def test_only_the_named_recipe(ingot):
    assert ingot("check", "two").stdout == "two: ok\n"


def test_all_problems_of_all_recipes(ingot):
    for name in ("one", "two"):
        (ingot.recipes / name / "recipe.yaml").write_text(RECIPE.format(name=name) + "stpes: []\n")
    done = ingot("check")
    assert done.returncode == 2
    assert done.stdout == ""
    places = [line.split(": ")[1] for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert places == ["image_recipes/one/recipe.yaml:4:1", "image_recipes/two/recipe.yaml:4:1"]


def test_a_recipe_that_is_right_is_said_so_beside_one_that_is_wrong(ingot):
    (ingot.recipes / "one" / "recipe.yaml").write_text("x: [")
    done = ingot("check")
    assert (done.returncode, done.stdout) == (2, "two: ok\n")
    assert "YAML that does not parse" in done.stderr


def test_a_recipe_without_its_lock(ingot):
    text = RECIPE.format(name="one").replace("ami: {ssm: /aws/x}", "debian: bookworm")
    (ingot.recipes / "one" / "recipe.yaml").write_text(text)
    (ingot.recipes / "two" / "recipe.yaml").write_text(RECIPE.format(name="two") + "stpes: []\n")
    done = ingot("check")
    assert done.returncode == 2
    assert "run: ingot lock one" in done.stderr
    assert "stpes" in done.stderr


def test_all_is_said_at_once(ingot):
    """A target that is wrong hides no source that is missing; a mistake anywhere hides no
    lock and no package that is missing in it.
    """
    recipe = ingot.recipes / "one" / "recipe.yaml"
    recipe.write_text(
        "name: one\nbase: {debian: bookworm}\nroot_volume: {size: 2GiB}\nstpes: []\npackages: [abc, abc,"
        " Wrong, xyz]\napp: {source: nope/, target: ../x}\nfiles:\n- {source: files/a}\n- {source: files/b,"
        " target: b}\n- {source: files/c, target: /c}\n"
    )
    mistakes = [
        "4:1: unknown key 'stpes'",
        "5:17: package 'abc' a second time",
        "5:22: invalid value 'Wrong'",
        "6:15: no directory nope/",
        "6:30: '../x', which climbs with '..'",
        "8:3: missing key 'target'",
        "8:12: no file files/a",
        "9:12: no file files/b",
        "9:29: 'b', a relative path",
        "10:12: no file files/c",
    ]
    assert said(ingot("check", "one")) == [
        "recipe.lock:1:1: the recipe has no lock yet",
        *(f"recipe.yaml:{m}" for m in mistakes),
    ]
    lock = {
        "format": 1,
        "distribution": {"id": "debian", "suite": "bookworm"},
        "architecture": "amd64",
        "epoch": 1,
        "packages": [{"name": "gone", "version": "1", **PACKAGE}],
        "requested": {"base": [], "packages": ["gone"], "tools": []},
    }
    (recipe.parent / "recipe.lock").write_text(json.dumps(lock))
    lacks = ["5:12: the lock lacks the package 'abc'", "5:29: the lock lacks the package 'xyz'"]
    assert said(ingot("check", "one")) == [
        f"recipe.yaml:{m}" for m in [mistakes[0], lacks[0], *mistakes[1:3], lacks[1], *mistakes[3:]]
    ]
    # With another base nothing in the lock counts.
    recipe.write_text(recipe.read_text().replace("bookworm", "buster"))
    assert not any("lock" in line for line in said(ingot("check", "one")))


def said(done):
    """Return each problem's place in the recipe `one` and what was found there."""
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    return [line.removeprefix("error: image_recipes/one/").split(", expected")[0] for line in lines]


def test_a_name_that_is_not_there(ingot):
    done = ingot("check", "tow")
    assert done.returncode == 2
    assert "did you mean two" in done.stderr


def test_the_slash_of_a_shells_completion_counts_for_nothing(ingot):
    assert ingot("check", "two/").stdout == "two: ok\n"
    for command in ("bake", "boot", "digest", "lock", "show", "publish", "upgrade"):
        done = ingot(command, "three/", *(["--dry-run"] if command == "upgrade" else []))
        assert done.returncode == 2
        assert "three/" not in done.stderr


def test_no_directory_of_recipes(ingot):
    done = ingot("check", "--recipes", "nowhere")
    assert done.returncode == 2
    assert "no directory nowhere" in done.stderr


def test_a_base_ami_is_locked_with_credentials_and_not_baked_here(ingot):
    done = ingot("digest", "one")
    assert (done.returncode, "run: ingot lock one" in done.stderr) == (2, True)
    source = '{"ssm": "/aws/x"}'
    ami = {
        "id": "ami-0123456789abcdef0",
        "owner": "137112412989",
        "name": "x",
        "created": "2026-01-01T00:00:00.000Z",
        "root_device": "/dev/xvda",
        "root_size": 8,
        "boot_mode": "uefi",
    }
    lock = {
        "format": 1,
        "architecture": "x86_64",
        "source": source,
        "epoch": 1700000000,
        "ami": {"us-east-1": ami},
    }
    recipe = ingot.recipes / "one" / "recipe.yaml"
    assert "ssm: /aws/x" in recipe.read_text()
    (recipe.parent / "recipe.lock").write_text(json.dumps(lock))
    assert len(ingot("digest", "one").stdout) == 65
    done = ingot("bake", "one")
    assert (done.returncode, "which only a builder instance can bake on" in done.stderr) == (2, True)
    assert "ingot publish one" in done.stderr


def test_all_recipes_but_those_that_this_machine_cannot_bake(ingot, tmp_path):
    base = (
        'base: {ami: {name: "company-base-*", owner: "self"}}\nroot_volume: {size: 4GiB}\ntests: [{name: it'
        ' runs, command: "true"}]\n'
    )
    for name, more in {"own": "", "other": "variables: {a: }\nenvironments: {prod: {a: x}}\n"}.items():
        directory = tmp_path / "recipes" / name
        directory.mkdir(parents=True)
        (directory / "recipe.yaml").write_text(f"name: {name}\n{base}{more}")
    done = ingot("bake", "--all", "--recipes", str(tmp_path / "recipes"))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "other is left out: it has the environments prod only" in done.stderr
    assert "own is left out: a builder instance bakes it, on its base AMI" in done.stderr


def test_packages_without_upgrade(ingot):
    done = ingot("lock", "one", "apache2")
    assert done.returncode == 2
    assert "--upgrade" in done.stderr


VARIED = "variables: {size: 2GiB}\nenvironments: {prod: {size: 4GiB}, test: {size: small}}\n"


def test_a_recipe_is_checked_in_each_of_its_environments(ingot):
    recipe = ingot.recipes / "one" / "recipe.yaml"
    recipe.write_text(RECIPE.format(name="one").replace("2GiB", '"${size}"') + VARIED)
    done = ingot("check")
    assert done.returncode == 2
    assert done.stdout == "one: ok\none in prod: ok\ntwo: ok\n"
    assert "recipe.yaml:3:21: size 'small'" in done.stderr
    assert ingot("check", "one", "--env", "prod").stdout == "one in prod: ok\n"


def test_what_is_wrong_in_every_environment_is_said_once(ingot):
    recipe = ingot.recipes / "one" / "recipe.yaml"
    recipe.write_text(RECIPE.format(name="one") + "stpes: []\nenvironments: {prod: {}, test: {}}\n")
    assert ingot("check").stderr.count("unknown key 'stpes'") == 1


def test_the_digest_in_an_environment(ingot):
    recipe = ingot.recipes / "one" / "recipe.yaml"
    recipe.write_text(RECIPE.format(name="one"))
    done = ingot("digest", "one", "--env", "prod")
    assert done.returncode == 2
    assert "no environment 'prod'" in done.stderr


def test_no_command_at_all_lists_the_commands(ingot):
    done = ingot()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ingot("--help").stdout
    assert "Validate recipes" in done.stdout


SCRATCH = "name: one\nbase: {debian: bookworm}\nroot_volume: {size: 2GiB}\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ someone@example\n"


def checked(ingot, more, **files):
    """Check the recipe `one` with these files and a lock."""
    top = ingot.recipes / "one"
    (top / "recipe.yaml").write_text(SCRATCH + more)
    (top / "recipe.lock").write_text(json.dumps(LOCK))
    for name, text in files.items():
        (top / name).write_text(text)
    return ingot("check", "one")


def test_keys_that_the_bake_refuses_are_refused_before_it(ingot):
    files = "files:\n  - {source: keys, target: /root/.ssh/authorized_keys}\n"
    done = checked(ingot, files, keys=KEY)
    assert done.returncode == 2
    assert "recipe.yaml:5:14: keys: who has one of 1 keys may log in" in done.stderr
    assert "{finding: authorized-key, path: /root/.ssh/authorized_keys, reason: …}" in done.stderr
    allow = "hygiene: {allow: [{finding: authorized-key, path: /root/.ssh/authorized_keys, reason: ours}]}\n"
    assert checked(ingot, files + allow, keys=KEY).returncode == 0
    assert checked(ingot, files, keys="# none yet\n").returncode == 0


def test_a_step_may_remove_what_the_gate_would_find(ingot):
    content = 'files:\n  - {target: /etc/app, content: "key=AKIA' + "2345678901234567" + '"}\n'
    done = checked(ingot, content)
    assert (done.returncode, "an AWS access key" in done.stderr) == (2, True)
    done = checked(ingot, content + "steps: [rm /etc/app]\n")
    assert (done.returncode, "warning: " in done.stderr) == (0, True)


def test_an_address_as_source_names_what_fetches_it(ingot):
    done = checked(ingot, "files:\n  - {source: https://example.com/tool, target: /usr/local/bin/tool}\n")
    assert done.returncode == 2
    assert "recipe.yaml:5:14: the address 'https://example.com/tool'\n" in done.stderr
    assert "^ expected a path below" in done.stderr
    assert "artifacts: [{url: https://example.com/tool, target: …}]" in done.stderr


def with_packages(ingot, *names, more="", **files):
    """Check the recipe `one`, whose lock has these packages as well; return what is on stderr."""
    top = ingot.recipes / "one"
    (top / "recipe.yaml").write_text(f"{SCRATCH}packages: [{names[0]}]\n{more}")
    for name, text in files.items():
        (top / name).write_text(text)
    [base] = LOCK["packages"]
    packages = [base, *({**base, "name": name, "path": f"pool/{name}.deb"} for name in names)]
    requested = {**LOCK["requested"], "packages": [names[0]]}
    (top / "recipe.lock").write_text(json.dumps(LOCK | {"packages": packages, "requested": requested}))
    done = ingot("check", "one")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_logs_that_nothing_rotates_are_a_warning(ingot):
    said = with_packages(ingot, "nginx-light", "nginx-common")
    assert "recipe.yaml:4:12: nginx logs to files below /var/log, and nothing rotates them\n" in said
    assert said.startswith("warning: ")
    assert with_packages(ingot, "nginx-light", "nginx-common", "logrotate") == ""
    site = "files:\n  - {source: site, target: /etc/nginx/sites-available/default}\n"
    assert "nginx logs" in with_packages(ingot, "nginx", "nginx-common", more=site, site="server {}\n")
    off = "server { access_log off; }\n"
    assert with_packages(ingot, "nginx", "nginx-common", more=site, site=off) == ""
    assert "PHP-FPM logs" in with_packages(ingot, "php-fpm", "php8.2-fpm")
    assert with_packages(ingot, "less") == ""


def test_a_root_on_an_instance_store_is_end_of_life(ingot):
    top = ingot.recipes / "one"
    (top / "recipe.yaml").write_text(SCRATCH.replace("size: 2GiB", "size: 2GiB, device: instance-store"))
    (top / "recipe.lock").write_text(json.dumps(LOCK))
    done = ingot("check", "one")
    assert (done.returncode, done.stdout) == (0, "one: ok\n")
    [first] = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "recipe.yaml:3:35: AWS calls a root on an instance store end of life" in first
    assert "REPLACE_ROOT_VOLUME" in done.stderr
    assert "scratch on local NVMe" in done.stderr
