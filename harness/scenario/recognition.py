"""Which YAML files are scenario files, told from those of others by what stands in them, before anything is read as one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness import document
from harness.core.errors import BadInput, Problem
from harness.host import untrusted

if TYPE_CHECKING:
    from pathlib import Path

_OURS = re.compile(rb"""^(?:\xef\xbb\xbf)?[ \t{]*["']?scenario["']?[ \t]*:""", re.MULTILINE)
_LIKE_OURS = re.compile(rb"""^(?:\xef\xbb\xbf)?["']?(?:why|promises|workloads|settle)["']?[ \t]*:""", re.MULTILINE)


def linked(path: Path) -> Problem | None:
    """Say that a file which nobody named, but a folder holds, is a link out of that: it may lead to what only the user may read."""
    if not untrusted.leads_out(path.parent, path.name):
        return None
    return Problem(
        str(path), 0, 0, "a link that leads elsewhere", "a scenario file", "name the file itself: one of a folder is not followed"
    )


def is_ours(path: Path, *, named: bool) -> bool:
    """Whether a YAML file is a scenario's: one with the key ``scenario``, be it otherwise broken. All others are left to other plug-ins.

    One that the user named may also have lost that key: then it is told what it lacks.
    """
    try:
        body = untrusted.named(path, document.BIGGEST, "a scenario file")
    except BadInput:
        return named
    return bool(_OURS.search(body) or (named and (_LIKE_OURS.search(body) or not body.strip())))
