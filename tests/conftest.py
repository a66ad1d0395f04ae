"""What all tests share: pytest's own tester, for tests of the plugin, and a look at whether groups hold."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Stop a run whose workers would share what only one of them may have: pytest-xdist 3.8 marks groups where pytest 9.2 does not look."""
    if getattr(config.option, "dist", "no") == "loadgroup" and "_nodeid" not in getattr(pytest.Item.__mro__[1], "__slots__", ()):
        raise pytest.UsageError(
            f"with pytest {pytest.__version__} groups of tests do not hold, and tests would share clusters; run ./setup again"
        )
