"""Reports of ours that can be asked for by name: each makes text of any number of judged runs, and looks at nothing else.

What they need for that they load when they write it: whoever only wants to know their names pays for none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.history.interfaces import RunReport
    from harness.runs.run import Run

WRITTEN: Mapping[str, type[RunReport[Run]]] = families.found(__name__, __path__, "text", "a report", data=False)
"""Every one by its name."""
