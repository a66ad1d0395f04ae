"""Scenario files: their schema, and loading them with every problem at once.

A problem has its place in the file, what was found, what was expected, and the nearest valid name. Everything that can be known without a cluster is
found here: names, types, target expressions that can never hit anybody, promises that nothing can keep. No input raises anything but `BadInput`.
"""

from harness.scenario.fits import misfits
from harness.scenario.jsonschema import json_schema
from harness.scenario.models import MOST_NODES, PROPERTIES, SETTLE, ClusterPart
from harness.scenario.reader import LONGEST_RUN, load, loads
from harness.scenario.scenario_file import ALWAYS, NotForMode, Scenario

__all__ = [
    "ALWAYS",
    "LONGEST_RUN",
    "MOST_NODES",
    "PROPERTIES",
    "SETTLE",
    "ClusterPart",
    "NotForMode",
    "Scenario",
    "json_schema",
    "load",
    "loads",
    "misfits",
]
