"""``python -m harness`` is ``whalefall``, for where the command is not on PATH."""

from harness.cli import main

main()
