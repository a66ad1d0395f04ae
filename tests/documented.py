"""The fault that CONTRIBUTING.md shows, word for word: what is tried is the text that people copy."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.core.protocols import Fault

REPO = Path(__file__).resolve().parents[1]
MODULE = "harness.faults.port"
"""Where the text says that it stands."""


def code() -> str:
    """Return the first Python block of the section about faults."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Add a fault\n")[2].partition("\n## ")[0]
    assert f"`{MODULE.replace('.', '/')}.py`" in section
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(block)


def fault(folder: Path) -> type[Fault]:
    """Put the code into a file in a folder, import that, and return its fault."""
    path = folder / "port.py"
    path.write_text(code(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module  # it stays there: its annotations are read by what it imports, whenever somebody asks for its parameters
    spec.loader.exec_module(module)
    port: Any = module.Port
    found: type[Fault] = port
    return found
