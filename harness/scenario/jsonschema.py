"""The JSON Schema of scenario files, for editors: made of the same models that files are read by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import registry
from harness.core import parameters, targets
from harness.core.values import AFTER, BEFORE, DURING, HERE
from harness.scenario import models
from harness.steps import STEPS
from harness.steps.part import model_schema
from harness.workloads.probe import Probe

_TARGET = (
    f"whom: nodes by name, {', '.join((*targets.SETS, *targets.CHOOSERS))}, any N, hosting(APP), leading(PROCESS), APP@N, "
    f"same as NAME (of an earlier fault), joined by & (and), ! for not; or {HERE}, this machine, for commands"
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of scenario files, with every parameter of everything that can be named, for editors.

    An editor with YAML support uses it after ``# yaml-language-server: $schema=…`` on a file's first line.
    """
    known = registry.known()
    body = model_schema(models.WholeFile)
    properties = body["properties"]
    cluster = model_schema(models.ClusterPart, described=True)
    cluster["properties"]["mode"]["enum"] = sorted(known.modes)
    cluster["properties"]["provider"]["enum"] = sorted(known.providers)
    targets_text = {"type": "string", "maxLength": targets.LONGEST, "description": _TARGET}
    properties["cluster"] = cluster
    properties["apps"] = {"type": "array", "items": {"oneOf": [_app_schema(), _own_app_schema()]}}
    properties["workloads"] = {"type": "array", "items": {"oneOf": _named_schemas(known.workloads)}}
    properties["probes"] = {"type": "array", "items": parameters.schema(known.workloads[Probe.name])}
    properties["steps"] = {
        "type": "array",
        "minItems": 1,
        "items": {"oneOf": [schema for kind in STEPS.values() for schema in kind.schemas(known, targets_text)]},
    }
    properties["checks"] = {"type": "array", "items": {"oneOf": [_check_schema(subject, targets_text) for subject in models.PROPERTIES]}}
    properties["promises"] = {"type": "array", "minItems": 1, "items": {"oneOf": _named_schemas(known.checkers)}}
    properties["control"] = model_schema(models.ControlPart)
    properties["but"] = _but_schema(sorted(known.modes))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Whalefall scenario", **body}


def _app_schema() -> dict[str, Any]:
    """Describe an app that has none."""
    found = model_schema(models.AppPart)
    found["properties"]["health"] = {**model_schema(models.HealthPart), "minProperties": 1, **found["properties"]["health"]}
    return found


def _own_app_schema() -> dict[str, Any]:
    """Describe an app that has a definition of its own."""
    found = model_schema(models.OwnAppPart)
    native = found["properties"]["native"]
    path = {**model_schema(models.NativePart)["properties"]["file"], "type": "string"}
    found["properties"]["native"] = {**native, "anyOf": [path, model_schema(models.NativePart)]}
    return found


def _but_schema(modes: Sequence[str]) -> dict[str, Any]:
    """Describe what differs in other modes. What is replaced looks as it does at the top of the file."""
    described = model_schema(models.ButPart)["properties"]
    because = {**described["because"], "type": "string"}
    cluster = model_schema(models.ButClusterPart, described=True)
    replaced = {"cluster": cluster, **{name: {"$ref": f"#/properties/{name}"} for name in models.REPLACED}}
    skipped = {"type": "object", "properties": {"because": because, "skip": {"const": True}}, "required": ["because", "skip"]}
    changed = {"type": "object", "properties": {"because": because, **replaced}, "required": ["because"], "minProperties": 2}
    block = {"oneOf": [{**each, "additionalProperties": False} for each in (skipped, changed)]}
    return {
        "type": "object",
        "description": str(models.WholeFile.model_fields["but"].description),
        "properties": dict.fromkeys(modes, block),
        "minProperties": 1,
        "additionalProperties": False,
    }


def _named_schemas(classes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe items of a list that are a name, or a name with parameters."""
    every = [(name, parameters.schema(classes[name])) for name in sorted(classes)]
    bare = [name for name, schema in every if not schema.get("required")]
    named = [{"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False} for name, schema in every]
    return [{"enum": bare}, *named] if bare else named


def _property_type(name: str) -> str:
    return "integer" if name in models.NUMBERS else "string" if name in models.TEXTS else "boolean"


def _check_schema(subject: str, targets_text: dict[str, Any]) -> dict[str, Any]:
    rest = model_schema(models.CheckPart)["properties"]
    return {
        "type": "object",
        "properties": {
            subject: {"type": "string"},
            **{name: {"type": _property_type(name)} for name in models.PROPERTIES[subject]},
            "on": targets_text,
            "when": {"anyOf": [rest["when"], {"enum": [BEFORE, DURING, AFTER]}]},
        },
        "required": [subject],
        "minProperties": 2,
        "additionalProperties": False,
    }
