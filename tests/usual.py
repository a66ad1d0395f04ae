"""Parameters of faults that have no usable defaults, for tests that look at every fault."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
(_SHOWN,) = re.findall(r"^```yaml\n(  - fault: command .*?)^```$", _README, re.MULTILINE | re.DOTALL)
OWN: Mapping[str, Any] = yaml.safe_load(_SHOWN)[0]["with"]
"""The fault of the user's own that the README shows, word for word."""
USUAL: Mapping[str, Mapping[str, Any]] = {"disk.slow": {"fsync": "1s"}, "command": OWN}
"""Fault → its parameters."""
