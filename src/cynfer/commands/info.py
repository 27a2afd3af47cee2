"""Shows what a model is and how it would run: inputs, outputs, operators, parameters, passes, memory.

Sizes, multiply-adds and memory are for the shapes given with --shape; other symbolic dimensions are 1.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter

import numpy as np

from cynfer.commands import options
from cynfer.commands.terminal import clean, megabytes, say, table

HELP = "show what a model is and how it would run"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--json", action="store_true", help="as one JSON object; numbers that are not finite are null")
    options.add_shapes(parser)
    options.add_session(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints tables, or JSON."""
    found = describe(options.session(arguments), arguments.shape)
    if arguments.json:
        say(json.dumps(found, indent=2, allow_nan=False))
    else:
        show(found)
    return 0


def describe(session, shapes=()) -> dict:
    """All that the command shows, made of JSON's types. shapes: texts of --shape."""
    from cynfer.ops.fact import Fact
    from cynfer.ops.op import SMALL
    from cynfer.runtime.graph import OnnxOp

    model, program = session.model, session.program
    operators: Counter[str] = Counter()
    constants: dict[int, Fact] = {}
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        constants.update((id(v), v.fact) for v in graph.constants())
        for node in graph.nodes:
            assert isinstance(node.op, OnnxOp)
            operators[f"{node.op.domain}.{node.op.op_type}".lstrip(".")] += 1
            if node.op.op_type == "Constant":
                arrays = [a for a in node.op.attributes.values() if isinstance(a, np.ndarray)]
                constants.update((id(a), Fact.of(a)) for a in arrays)
            graphs += [a for a in node.op.attributes.values() if type(a) is type(model.graph)]
    weights = [f for f in constants.values() if f.known]
    sizes = [(f.nbytes // f.dtype.itemsize, f.dtype.kind) for f in weights]
    steps = Counter(node.op.title for node in program.graph.nodes)
    context = program.context
    packed = [v.fact for v in program.graph.constants() if v.fact.known]
    return {
        "producer": model.producer_name, "ir_version": model.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in model.opsets.items()},
        "metadata": {k: v if len(v) <= 200 else v[:199] + "…" for k, v in model.metadata.items()},
        "inputs": [_arg(a) for a in session.get_inputs()], "outputs": [_arg(a) for a in session.get_outputs()],
        "operators": dict(operators.most_common()),
        "parameters": sum(n for n, kind in sizes if kind not in "Oiu" or n > SMALL),  # small integers are shapes
        "parameter_bytes": sum(f.nbytes for f in weights),
        "steps": dict(steps.most_common()),
        "passes": {str(k): int(n) for k, n in context.fired.items()}, "notes": list(context.notes),
        "weight_bytes": sum(f.nbytes for f in packed),
        "threads": session.threads, "isa": session.machine.isa, "precision": session.machine.precision,
        "plan": _plan(session, shapes),
    }


def _arg(arg) -> dict:
    return {"name": arg.name, "type": arg.type, "shape": arg.shape}


def _plan(session, shapes) -> dict | None:
    """What the plan for these shapes needs, as far as shapes do not depend on data."""
    program = session.program
    inputs = program.graph.inputs
    values = options.concrete(inputs, options.shapes(shapes, session.input_names))
    if not all(v.fact.known for v in values):
        return None
    segment = program.plan([v.fact.shape for v in values])
    work = 0.0
    for node in program.graph.nodes[segment.start : segment.stop]:
        ins = [None if v is None else segment.facts.get(v, v.fact) for v in node.inputs]
        outs = [segment.facts.get(v, v.fact) for v in node.outputs if v is not None]
        if all(o is not None and o.known for o in outs) and all(i is None or i.known for i in ins):
            work += node.op.cost(ins, outs)
    native = len(segment.call_kernels)
    return {
        "shapes": {v.name: list(v.fact.shape) for v in values},
        "multiply_adds": int(work), "arena_bytes": segment.code.arena_bytes,
        "scratch_bytes": segment.code.scratch_bytes,
        "output_bytes": sum(o.fact.nbytes for o in segment.owned), "kernel_calls": native,
        "numpy_steps": sum(not hasattr(s, "stop") for s in segment.steps),
        "stretches": sum(hasattr(s, "stop") for s in segment.steps),
        "complete": segment.stop == len(program.graph.nodes) and not segment.demand,
    }


def show(found: dict) -> None:
    """The tables."""
    for title in ("inputs", "outputs"):
        table(title, ["name", "type", "shape"], [
            [a["name"], a["type"], "[" + ", ".join("?" if d is None else str(d) for d in a["shape"]) + "]"]
            for a in found[title]])
        say()
    opsets = ", ".join(f"{clean(d)} {v}" for d, v in found["opsets"].items())
    say(f"opsets {opsets}; IR {found['ir_version']}; producer {clean(found['producer']) or 'not named'}")
    for key, text in found["metadata"].items():
        say(f"  {clean(key)}: {clean(text)}")
    say()
    table("operators", ["operator", "count#"], found["operators"].items())
    say()
    table(f"steps after the passes ({found['isa']}, {found['threads']} threads)", ["step", "count#"],
          found["steps"].items())
    say()
    say("passes: " + (", ".join(f"{clean(k)} {n}" for k, n in found["passes"].items()) or "nothing to do"))
    for note in found["notes"]:
        say(f"  {clean(note)}")
    say(f"parameters: {found['parameters']:,} ({megabytes(found['parameter_bytes'])} in the model, "
        f"{megabytes(found['weight_bytes'])} as they are used)")
    plan = found["plan"]
    if plan is None:
        say("no plan: the model does not say the rank of an input; --shape does")
        return
    shapes = ", ".join(f"{clean(n)} {'x'.join(map(str, s)) or 'scalar'}" for n, s in plan["shapes"].items())
    say(f"for {shapes}{'' if plan['complete'] else ', as far as shapes do not depend on data'}:")
    say(f"  multiply-adds {plan['multiply_adds'] / 1e6:,.1f} million; kernel calls {plan['kernel_calls']}, in "
        f"native stretches {plan['stretches']}; NumPy steps {plan['numpy_steps']}")
    say(f"  arena {megabytes(plan['arena_bytes'])}, scratch {megabytes(plan['scratch_bytes'])} a thread, "
        f"outputs {megabytes(plan['output_bytes'])}")
