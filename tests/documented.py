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
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    finally:
        if before is None:
            del sys.modules[MODULE]
        else:
            sys.modules[MODULE] = before
    port: Any = module.Port
    found: type[Fault] = port
    return found
