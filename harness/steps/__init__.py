"""The steps of a run, the checks that are asked around them, and how a control must come out. Pure.

A kind of step is a class in one of these modules; importing this package knows all of them.
"""

from harness.steps.acting import Do, actions, apart, most, note_asked, note_numbers
from harness.steps.awaiting import Await, awaits
from harness.steps.breaking import ALL, NAME, NAMED, Break, breaks, warm_up
from harness.steps.course import Made, faults_by_name, faults_made, left_going, names_given, note_names, note_twice
from harness.steps.expectations import Check, Control, parameters_words, programs
from harness.steps.healing import Heal
from harness.steps.held import LEADER_MOVED, LINGER_SECONDS, RECOVERED, STAYS_SECONDS, Hold
from harness.steps.repeating import Repeat
from harness.steps.step import STEPS, NoFurther, Step, flat, longest, read_step, step_from_json
from harness.steps.waiting import Wait

__all__ = [
    "ALL",
    "LEADER_MOVED",
    "LINGER_SECONDS",
    "NAME",
    "NAMED",
    "RECOVERED",
    "STAYS_SECONDS",
    "STEPS",
    "Await",
    "Break",
    "Check",
    "Control",
    "Do",
    "Heal",
    "Hold",
    "Made",
    "NoFurther",
    "Repeat",
    "Step",
    "Wait",
    "actions",
    "apart",
    "awaits",
    "breaks",
    "faults_by_name",
    "faults_made",
    "flat",
    "left_going",
    "longest",
    "most",
    "names_given",
    "note_asked",
    "note_names",
    "note_numbers",
    "note_twice",
    "parameters_words",
    "programs",
    "read_step",
    "step_from_json",
    "warm_up",
]
