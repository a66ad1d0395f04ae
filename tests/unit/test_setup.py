"""./setup beside an environment that is whole: packages are added, and the environment stays as it is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APT = """#!/bin/sh
printf '%s\\n' "$*" >>"{log}"
[ "$1" = update ] && exit 0
for each; do case $each in wf-*) printf '#!/bin/sh\\n' >"{tools}/$each"; chmod +x "{tools}/$each" ;; esac; done
"""


class Checkout:
    """A checkout whose setup knows two packages, each with a program of the same name, on a machine whose apt-get makes such programs."""

    def __init__(self, top: Path) -> None:
        self.top, self._tools, self._log = top / "checkout", top / "tools", top / "apt.log"
        self.venv = self.top / ".venv"
        for each in (self._tools, self.venv / "bin"):
            each.mkdir(parents=True)
        release = top / "os-release"
        release.write_text("ID=debian\nVERSION_ID=12\n")
        text = (ROOT / "setup").read_text(encoding="utf-8").replace("/etc/os-release", str(release))
        for name, package in (("packages", "wf-always"), ("vm_packages", "wf-machines")):
            text, count = re.subn(rf"(?m)^{name}='\n[^']*'", f"{name}='\n{package} {package}\n'", text)
            assert count == 1
        (self.top / "setup").write_text(text)
        (self.top / "pyproject.toml").write_text("[project]\n")
        self._program(self._tools / "apt-get", APT.format(log=self._log, tools=self._tools))
        self._program(self._tools / "id", "#!/bin/sh\necho 0\n")
        self._program(self._tools / "wf-always", "#!/bin/sh\n")
        for name in ("whalefall", "tox", "pytest", "python"):
            self._program(self.venv / "bin" / name, "#!/bin/sh\n")
        self._program(self.venv / "bin" / "go", "#!/bin/sh\necho go version go1.22.1 linux/amd64\n")
        (self.venv / "lib/python3.11/site-packages/ansible_collections/community/docker").mkdir(parents=True)
        made_of = subprocess.run(["sha256sum", "pyproject.toml"], cwd=self.top, capture_output=True, text=True, check=True).stdout
        (self.venv / ".whalefall").write_text(f"{self.top.resolve()}\n{made_of}")

    def run(self, *options: str) -> str:
        """Run setup and return what it said."""
        path = f"{self._tools}:/usr/bin:/bin"
        done = subprocess.run(["sh", "setup", *options], cwd=self.top, env={"PATH": path}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installed(self) -> list[str]:
        """Return what apt-get was asked to install so far, a line a time."""
        return [line for line in self._log.read_text().splitlines() if line.startswith("install")] if self._log.exists() else []

    def remove(self, program: str) -> None:
        """Have a package not installed."""
        (self._tools / program).unlink()

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """One whose environment is whole."""
    return Checkout(tmp_path)


def test_packages_for_virtual_machines_are_added_beside_an_environment_in_which_commands_run(checkout: Checkout) -> None:
    """It is the same folder with the same files, before, after, and when setup is called plainly again."""
    made = [(path, path.stat().st_ino) for path in sorted(checkout.venv.rglob("*"))]
    assert "installing Debian packages: wf-machines" in checkout.run("--vms")
    assert [line.split()[-1] for line in checkout.installed()] == ["wf-machines"]
    assert checkout.run() == "setup: nothing to do\n"
    assert checkout.run("--vms") == "setup: nothing to do\n"
    assert [(path, path.stat().st_ino) for path in sorted(checkout.venv.rglob("*"))] == made


def test_a_package_that_went_missing_comes_back_beside_an_environment_that_is_whole(checkout: Checkout) -> None:
    """Without --vms, too."""
    checkout.remove("wf-always")
    said = checkout.run()
    assert "wf-always" in said
    assert "building" not in said
    assert checkout.run() == "setup: nothing to do\n"


def test_another_setup_script_makes_no_other_environment(checkout: Checkout) -> None:
    """What it is made of counts: its place, and the Python packages that are named."""
    with (checkout.top / "setup").open("a") as script:
        script.write("# one more line\n")
    assert checkout.run() == "setup: nothing to do\n"
