"""Parameters of faults that have no usable defaults, for tests that look at every fault; the modes that our scenarios are for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
(_SHOWN,) = re.findall(r"^```yaml\n(  - fault: command .*?)^```$", _README, re.MULTILINE | re.DOTALL)
OWN: Mapping[str, Any] = yaml.safe_load(_SHOWN)[0]["with"]
"""The fault of the user's own that the README shows, word for word."""
USUAL: Mapping[str, Mapping[str, Any]] = {"disk.slow": {"fsync": "1s"}, "command": OWN}
"""Fault → its parameters."""

(_RUN,) = re.findall(r"--wf-mode (\S+) scenarios ", (_ROOT / "tox.ini").read_text(encoding="utf-8"))
IN_MODES = tuple(sorted(_RUN.split(",")))
"""The modes in which `tox -e scenarios` runs our scenarios: a new one is named there once each of them says what differs in it."""
