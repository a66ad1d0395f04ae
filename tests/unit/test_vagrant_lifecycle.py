"""`vagrant up`, against Vagrants that misbehave: one error each, with the cause and what to do, and nothing left running."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.clock import Deadline
from harness.core.errors import HarnessError
from harness.core.values import NodeSpec
from harness.host import box, marks, state
from harness.host.processes import Process
from harness.providers import clusters
from harness.providers.vagrant import layout, lifecycle, vagrant_records
from harness.providers.vagrant.vagrant_records import VmCluster

RUN = "cut-1"
SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))
RECORD = VmCluster(RUN, "/cache/boxes/0123456789abcdef", SPECS, "qemu:///system", private=False, pool="default", driver="qemu")
IMAGE = box.Box(path=Path("/cache/boxes/0123456789abcdef"), key="0123456789abcdef", size=1, built=0.0, current=True)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep all state in a folder of the test's own, and return that of a noted run."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    vagrant_records.open_cluster(RECORD)
    return state.run_folder(RUN)


Vagrant = Callable[[str], None]


@pytest.fixture
def vagrant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vagrant:
    """Return a way to put a `vagrant` on PATH that is this script."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def put(script: str) -> None:
        (tmp_path / "bin" / "vagrant").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "vagrant").chmod(0o755)

    return put


def _up(folder: Path) -> None:
    lifecycle.up(RECORD, folder / "settings.json", vagrant_records.machines(RUN, SPECS))


def test_all_that_vagrant_says_goes_to_a_file(vagrant: Vagrant, folder: Path) -> None:
    """It is asked once, for all machines at the same time."""
    vagrant('echo "$@"; echo trouble >&2')
    _up(folder)
    said = lifecycle.log(folder).read_text().splitlines()
    assert said == ["up --parallel --provider=libvirt --no-tty --no-color --no-destroy-on-error", "trouble"]


def test_vagrant_lives_in_the_runs_own_folder(vagrant: Vagrant, folder: Path) -> None:
    """Home, state and settings; it carries the run's mark and asks nobody for news."""
    vagrant("env")
    _up(folder)
    env = dict(line.partition("=")[::2] for line in lifecycle.log(folder).read_text().splitlines())
    assert {env[each] for each in ("HOME", "VAGRANT_HOME")} == {str(folder / "home")}
    assert env["VAGRANT_DOTFILE_PATH"] == str(folder / "dot")
    assert env["WHALEFALL_VAGRANT"] == str(folder / "settings.json")
    assert (Path(env["VAGRANT_CWD"]) / "Vagrantfile").is_file()
    assert (env[marks.VARIABLE], env["VAGRANT_CHECKPOINT_DISABLE"], env["LIBVIRT_DEFAULT_URI"]) == (
        marks.environ(RUN)[marks.VARIABLE],
        "1",
        RECORD.uri,
    )


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 1"], ids=["waits", "gives up"])
def test_a_machine_that_its_host_has_stopped_is_told_with_the_reason(
    vagrant: Vagrant, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Libvirt knows why, whether Vagrant goes on waiting or gives the machine up."""
    vagrant(script)
    monkeypatch.setattr(lifecycle, "LOOK_SECONDS", 0.05)
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\necho 'paused (I/O error)'\n")
    (tmp_path / "bin" / "virsh").chmod(0o755)
    with pytest.raises(HarnessError, match=r"^n1 stands still: libvirt says paused \(I/O error\); the disk is full; make room"):
        _up(folder)
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\necho 'running (booted)'\n")
    vagrant("exit 1")
    with pytest.raises(HarnessError, match="vagrant up exited with status 1"):
        _up(folder)


FAILURES = {
    "disk": ("qemu-img: error while writing: No space left on device", "the disk is full; make room"),
    "memory": ("qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory", "the memory is not enough; .*WHALEFALL_VM_MEMORY"),
    "no box": (
        "The box 'whalefall' could not be found or\ncould not be accessed",
        "the box cannot be found; `whalefall image build --box`",
    ),
    "no image": ("Could not open backing file: Image is not in qcow2 format", "the box's disk is none, or is damaged; .*image prune"),
    "kvm": ("Could not access KVM kernel module: Permission denied", "KVM cannot be used; set WHALEFALL_DRIVER=qemu"),
    "plugin": ("The provider 'libvirt' could not be found", "vagrant has no libvirt provider; install vagrant-libvirt"),
    "boot": ("Timed out while waiting for the machine to boot.", "a machine never answered"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_told_with_its_cause_and_its_remedy(vagrant: Vagrant, folder: Path, case: str) -> None:
    """Whatever noise stood before it; with the last words themselves."""
    said, expected = FAILURES[case]
    vagrant(f"printf '==> n1:  -- Memory: 640M\\n\\rProgress: 1%%\\rProgress: 99%%\\n'; cat <<'END'\n{said}\nEND\nexit 1")
    with pytest.raises(HarnessError, match=rf"vagrant up exited with status 1: {expected}") as caught:
        _up(folder)
    text = str(caught.value)
    assert said.splitlines()[-1] in text
    assert "Memory: 640M" not in text
    assert "Progress" not in text


def test_a_failure_that_nobody_knows_is_told_in_its_own_words(vagrant: Vagrant, folder: Path) -> None:
    """And a silent one says that it said nothing."""
    vagrant("echo 'undefined method for nil'; exit 99")
    with pytest.raises(HarnessError, match=r"status 99: vagrant's last words: undefined method for nil\Z"):
        _up(folder)
    lifecycle.log(folder).unlink()
    vagrant("exit 3")
    with pytest.raises(HarnessError, match=r"status 3: vagrant's last words: \(nothing\)"):
        _up(folder)


def test_a_trace_of_vagrants_own_code_is_left_out(vagrant: Vagrant, folder: Path) -> None:
    """What was raised is kept, however long the way that it came."""
    vagrant(
        "echo \"/g/server.rb:42:in \\`create': Call to virDomainCreate failed (Libvirt::Error)\"; printf '\\tfrom /g/busy.rb:%s\\n' $(seq 20); exit 1"
    )
    with pytest.raises(HarnessError, match=r"vagrant's last words: Call to virDomainCreate failed \(Libvirt::Error\)\Z"):
        _up(folder)


def test_a_machine_that_never_boots_is_told_with_the_end_of_its_console(vagrant: Vagrant, folder: Path) -> None:
    """Of every machine that said anything, by name, without the terminal's own codes."""
    (folder / "console").mkdir()
    (folder / "console" / "n2.log").write_bytes(b"\x1bc\x1b[?7lSeaBIOS\r\nVFS: unable to mount root\r\nKernel panic - not syncing\r\n")
    vagrant("echo 'Timed out while waiting for the machine to boot.'; exit 1")
    with pytest.raises(
        HarnessError, match=r"n2's console ends: SeaBIOS \| VFS: unable to mount root \| Kernel panic - not syncing"
    ) as caught:
        _up(folder)
    assert "n1's console" not in str(caught.value)


def test_a_vagrant_that_hangs_is_ended_with_all_that_it_started(
    vagrant: Vagrant, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its time is up; the error says how long that was."""
    note = tmp_path / "child"
    os.mkfifo(note)
    vagrant(f"echo 'Waiting for domain to get an IP address...'; sleep 97.375 & echo $! >{note}; wait")
    pids: list[int] = []

    def left(_: object) -> float:
        """Have no time left as soon as it has begun to wait."""
        pids.append(int(note.read_text()))
        return 0.0

    monkeypatch.setattr(Deadline, "left", left)
    with pytest.raises(HarnessError, match=r"vagrant up of 2 machines had not ended after 220 s; a machine never answered; .*IP address"):
        _up(folder)
    child = Process.of(pids[0])
    assert child is None or child.wait(5.0)


def test_a_vagrant_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    """With what to install."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(HarnessError, match=r"cannot run vagrant: .*; install the package vagrant"):
        _up(folder)


# -- the settings


def test_the_vagrantfile_knows_every_word_that_it_is_told() -> None:
    """It refuses those that it does not know."""
    machines = vagrant_records.machines(RUN, SPECS)
    said = layout.settings_of(RECORD, IMAGE, machines, kernel="/k", initrd="/i")
    text = (layout.vagrantfile_folder() / "Vagrantfile").read_text()
    known = text.partition("known = %w[")[2].partition("]")[0].split()
    assert {*said} <= {*known}
    assert json.loads(json.dumps(said)) == said


def test_machines_have_cards_and_names_of_their_own() -> None:
    """No two cards of any run share an address, and it is the same whenever it is asked for."""
    cards = [card for run in (RUN, "cut-2") for each in vagrant_records.machines(run, SPECS) for card in (each.mac, each.management_mac)]
    assert len({*cards}) == 8
    assert all(card.startswith("52:54:00:") and len(card) == 17 for card in cards)
    assert vagrant_records.machines(RUN, SPECS) == vagrant_records.machines(RUN, SPECS)
    assert [(each.domain, each.management) for each in vagrant_records.machines(RUN, SPECS)] == [
        ("wf-cut-1-n1", "192.168.77.11"),
        ("wf-cut-1-n2", "192.168.77.12"),
    ]


def test_networks_have_no_way_out_and_fixed_addresses() -> None:
    """No forwarding, no name service; addresses by card on the management network, none given out on the cluster's."""
    machines = vagrant_records.machines(RUN, SPECS)
    management = layout.network_xml("m", "192.168.77.1", machines)
    assert f"<host mac='{machines[0].management_mac}' name='n1' ip='192.168.77.11'/>" in management
    cluster = layout.network_xml("c", "10.77.0.1", ())
    assert "dhcp" not in cluster
    for xml in (management, cluster):
        assert "forward" not in xml
        assert "<dns enable='no'/>" in xml


@pytest.mark.parametrize("said", ["128", "2G", "-640", "lots", "9" * 5000])
def test_a_memory_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """With what was said and what is expected."""
    monkeypatch.setenv("WHALEFALL_VM_MEMORY", said)
    with pytest.raises(HarnessError, match=r"WHALEFALL_VM_MEMORY is .*; expected megabytes, 256 or more"):
        layout.memory_mb()


def test_a_memory_that_is_set_to_nothing_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable says nothing."""
    monkeypatch.setenv("WHALEFALL_VM_MEMORY", "")
    said_nothing = layout.memory_mb()
    monkeypatch.delenv("WHALEFALL_VM_MEMORY")
    assert said_nothing == layout.memory_mb()


def test_a_kernel_says_its_release(tmp_path: Path) -> None:
    """From its own header; what is no kernel says that nothing is known."""
    head = bytearray(0x4000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x3000 - 0x200).to_bytes(2, "little")
    text = b"6.1.0-50-cloud-amd64 (somebody) #1 SMP"
    head[0x3000 : 0x3000 + len(text)] = text
    for name, body, release in (
        ("vmlinuz", bytes(head), "6.1.0-50-cloud-amd64"),
        ("text", b"no kernel", "unknown"),
        ("empty", b"", "unknown"),
    ):
        (tmp_path / name).write_bytes(body)
        assert layout.kernel_release(tmp_path / name) == release
    assert layout.kernel_release(tmp_path / "nothing") == "unknown"


def test_a_boxs_version_follows_from_its_key() -> None:
    """So that a libvirt that lives on tells two boxes apart; never 0, which vagrant-libvirt would not take for one."""
    assert layout.version(IMAGE) == f"1.{0x01234567}"


# -- records


def test_a_record_is_read_as_it_was_noted() -> None:
    """By any process; the register says whose it is."""
    assert vagrant_records.read_cluster(RUN) == RECORD
    assert clusters.provider_of(RUN) == "vagrant"


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"provider": "vagrant"}', '{"provider": "nspawn"}', '{"provider": 1}'])
def test_a_record_that_is_damaged_or_anothers_is_no_cluster(folder: Path, body: str) -> None:
    """The error names the file or the provider."""
    (folder / "cluster.json").write_text(body)
    with pytest.raises(HarnessError, match=r"cluster\.json cannot be read|is a cluster of the .* provider, not of vagrant"):
        vagrant_records.read_cluster(RUN)


def test_while_machines_boot_it_is_told_who_is_up_and_how_far_the_others_are(
    vagrant: Vagrant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their consoles; and as soon as there is something new."""
    monkeypatch.setattr(lifecycle, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lifecycle, "trouble", lambda *_: "")
    vagrant("sleep 3600")  # it is not waited for once all are up
    up: set[str] = set()
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if "n1 (has not said anything)" in text:
            (folder / "console").mkdir(exist_ok=True)
            (folder / "console" / "n1.log").write_text("[ OK ] Reached target basic\r\n\x1b[0m")
            up.add("n2")
        elif "n1 ('[ OK ] Reached target basic')" in text:
            up.add("n1")

    machines = vagrant_records.machines(RUN, SPECS)
    lifecycle.up(RECORD, folder / "settings.json", machines, tell=tell, up=lambda machine: machine.name in up)
    assert list(dict.fromkeys(told)) == [
        "up: none; waiting for n1 (has not said anything), n2 (has not said anything)",
        "up: n2; waiting for n1 ('[ OK ] Reached target basic')",
        "up: n1, n2",
    ]
