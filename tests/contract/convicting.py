"""Where a contract convicts, and which of these places its doubles never come to: a line that convicts nobody may be one that nothing breaks.

A promise is a function of many lines. That every function convicts somebody says nothing of most of them.
"""

from __future__ import annotations

import ast
import inspect
import traceback
from collections.abc import Iterable
from types import ModuleType

from harness.testing.contracts import ContractBroken

WORDS = {"require", "same", "ContractBroken"}
"""What convicts by itself."""


def missed(contract: ModuleType, convictions: Iterable[ContractBroken], *waits: str) -> list[str]:
    """Return the lines of a contract that convict, and that none of these convictions came through.

    `waits` are functions of its own that are told what is promised, and convict where it does not come: each call of one counts.
    """
    file, source = inspect.getfile(contract), inspect.getsource(contract)
    passed = {line for each in convictions for frame, line in traceback.walk_tb(each.__traceback__) if frame.f_code.co_filename == file}
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call) and _called(each) in WORDS.union(waits)]
    return [
        f"line {each.lineno}: {' '.join((ast.get_source_segment(source, each) or '').split())}"
        for each in sorted(calls, key=lambda each: each.lineno)
        if not passed.intersection(range(each.lineno, (each.end_lineno or each.lineno) + 1))
    ]


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")
