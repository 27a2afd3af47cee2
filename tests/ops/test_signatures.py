"""Every version of every registered operator: the function that reads it takes what that version may say.

An old version whose attributes or defaults differ must not be read as a new one without anyone noticing.
"""

import inspect
import math

import numpy as np
import pytest
from onnx import defs, helper

from cynfer.ops.op import resolve, supported

#: (operator, version) below the first one that is registered: an UnsupportedError when loading, never misread.
NOT_THERE: dict[tuple[str, int], str] = {}

#: (operator, attribute) whose default differs from the standard's on purpose.
OTHER_DEFAULT = {
    ("Clip", "min"): "the largest float32 of the standard would cut infinities",
    ("Clip", "max"): "the largest float32 of the standard would cut infinities",
}


def _schemas():
    registered = supported()
    domains = {"ai.onnx": "", "": ""}
    return [pytest.param(s, id=f"{s.domain}:{s.name}-{s.since_version}") for s in defs.get_all_schemas_with_history()
            if (domains.get(s.domain, s.domain), s.name) in registered and (s.name, s.since_version) not in NOT_THERE]


def _entry(schema):
    entry = resolve(schema.name, schema.domain, schema.since_version)
    assert entry is not None
    return entry


@pytest.mark.parametrize("schema", _schemas())
def test_attributes_are_accepted(schema):
    entry = _entry(schema)
    missing = set(schema.attributes) - set(entry.attributes)
    assert not missing, f"{sorted(missing)} of version {schema.since_version} unknown to that of {entry.since}"


@pytest.mark.parametrize("schema", _schemas())
def test_inputs_are_accepted(schema):
    entry = _entry(schema)
    variadic = bool(schema.inputs) and schema.inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic
    assert entry.variadic or (not variadic and len(entry.inputs) >= len(schema.inputs))
    assert entry.required <= schema.min_input


@pytest.mark.parametrize("schema", _schemas())
def test_defaults_are_those_of_the_standard(schema):
    parameters = inspect.signature(_entry(schema).lower).parameters
    for name, attribute in schema.attributes.items():
        if name not in parameters or (schema.name, name) in OTHER_DEFAULT:
            continue
        ours = parameters[name].default
        if attribute.required or not attribute.default_value.type:
            continue
        theirs = helper.get_attribute_value(attribute.default_value)
        theirs = theirs.decode() if isinstance(theirs, bytes) else theirs
        if isinstance(theirs, float):
            assert math.isclose(np.float32(ours), theirs, rel_tol=1e-7), name
        elif isinstance(theirs, (list, tuple)):
            assert tuple(ours) == tuple(v.decode() if isinstance(v, bytes) else v for v in theirs), name
        else:
            assert ours == theirs, name


def test_the_list_of_gaps_names_only_gaps():
    for (name, version), _ in NOT_THERE.items():
        assert resolve(name, "", version) is None
