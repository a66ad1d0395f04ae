"""What all tests share: pytest's own tester, for tests of the plugin."""

from __future__ import annotations

pytest_plugins = ["pytester"]
