"""What all tests share: pytest's own tester, for tests of the plugin, and a look at whether groups hold."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Stop a run whose workers would share what only one of them may have: pytest 9.2 takes no note of the marks of pytest-xdist 3.8."""
    if not getattr(config.option, "loadgroup", False):
        return
    loose = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid.rpartition("::")[2]]
    if loose:
        raise pytest.UsageError(f"groups of tests do not hold with this pytest and pytest-xdist (e.g. {loose[0]}); run ./setup again")
