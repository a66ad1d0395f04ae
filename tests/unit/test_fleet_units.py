"""Units as fleet is given them."""

from __future__ import annotations

import pytest

from harness.core.errors import HarnessError
from harness.core.values import App
from harness.modes.fleet.unit_files import instance_name, render, unit_name


def test_the_unit_is_the_guides() -> None:
    """It clears away what a crash left, gives Docker all the time it wants, and says who it is in labels and environment."""
    first, second = render(App("web", 2))
    assert (first.name, second.name) == ("web@1.service", "web@2.service")
    assert (
        first.text()
        == """\
[Unit]
Description=whalefall app web@1
After=docker.service
Requires=docker.service

[Service]
TimeoutStartSec=0
ExecStartPre=-/usr/bin/docker kill web-1
ExecStartPre=-/usr/bin/docker rm -f web-1
ExecStart=/usr/bin/docker run --name web-1 --label whalefall.app=web --label whalefall.instance=web@1 -e WHALEFALL_INSTANCE=web@1 \
-e WHALEFALL_HOST=%H --publish 8001:80 web
ExecStop=-/usr/bin/docker stop -t 2 web-1

[X-Fleet]
Conflicts=web@*.service
"""
    )


def test_every_instance_has_a_port_of_its_own_beyond_nine() -> None:
    """The port is a sum, not a digit put behind another."""
    assert "--publish 8012:80" in render(App("web", 12))[11].text()


def test_no_rule_is_written_where_none_is_asked_for() -> None:
    """The control that leaves out Conflicts= really leaves it out."""
    assert "X-Fleet" not in render(App("web", 1, conflicts=False))[0].text()


def test_a_pin_is_a_condition_on_the_machines_name() -> None:
    """The mode gives every machine its name as metadata."""
    assert "MachineMetadata=name=n2" in render(App("web", 1, pin="n2"))[0].text()


@pytest.mark.parametrize(
    "app",
    [
        App("web x", 1),
        App("web\nExecStart=/bin/rm", 1),
        App("%i", 1),
        App("-web", 1),
        App("", 1),
        App("web", 1, image="web; reboot"),
        App("web", 1, image="-v"),
        App("web", 1, pin="n2\nGlobal=true"),
    ],
)
def test_a_name_that_a_unit_file_would_not_carry_unchanged_is_refused(app: App) -> None:
    """Words are split at spaces and % is expanded in a unit file, so such names never reach one."""
    with pytest.raises(HarnessError, match=r"expected|cannot stand"):
        render(app)


def test_units_and_instances_are_named_after_each_other() -> None:
    """There and back; what is no service keeps its name."""
    assert instance_name(unit_name("web@1")) == "web@1"
    assert instance_name("a.timer") == "a.timer"


def test_variables_of_an_app_stand_in_its_units_as_they_are() -> None:
    """Whatever systemd would make of them: quotes, its specifiers, its variables."""
    (file,) = render(App("web", 1, environment=(("A", 'a "b" \\ c'), ("B", "100% of $HOME"))))
    (run,) = [each.value for each in file.options if each.name == "ExecStart"]
    assert " -e A -e B --publish 8001:80 web" in run
    assert [each.value for each in file.options if each.name == "Environment"] == ['"A=a \\"b\\" \\\\ c"', '"B=100%% of $HOME"']


def test_no_command_of_a_unit_has_a_value_of_a_variable_in_its_words() -> None:
    """Every user of its machine, and of the one around that, reads what a process was started with."""
    (file,) = render(App("web", 1, environment=(("DB_PASSWORD", "geheim"), ("DOCKER_PASSWORD", "geheim"), ("PATHS", "/geheim"))))
    assert not [each for each in file.options if "geheim" in each.value and each.name.startswith("Exec")]


@pytest.mark.parametrize(
    "name", ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CONFIG", "LD_PRELOAD", "GLIBC_TUNABLES", "HOME", "PATH", "GOMEMLIMIT", "GODEBUG"]
)
def test_a_variable_that_dockers_client_would_obey_is_the_containers_alone(name: str) -> None:
    """It is handed over in so many words, and the client does not have it: its login to a registry is below its HOME."""
    (file,) = render(App("web", 1, environment=((name, "a $b"),)))
    (run,) = [each.value for each in file.options if each.name == "ExecStart"]
    assert f' -e "{name}=a $$b" ' in run
    assert not [each for each in file.options if each.name == "Environment"]


def test_an_environment_that_fleet_would_not_read_is_refused_before_anything_is_stopped() -> None:
    """Its reader of units takes lines of 2048 bytes, in which some characters stand twice."""
    render(App("web", 1, environment=(("A", "x" * 2000), ("B", "x" * 2000))))
    for value in ("x" * 2048, "%" * 1024, "é" * 1024):
        with pytest.raises(HarnessError, match=r"a line of 2[0-9]{3} bytes, and fleet takes 2048 at most"):
            render(App("web", 1, environment=(("A", value),)))
