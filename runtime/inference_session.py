"""`InferenceSession`: the session by the names of onnxruntime's Python API."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cynfer.ops.dim import Dim
from cynfer.ops.errors import InputError
from cynfer.ops.fact import Fact
from cynfer.runtime.limits import Limits
from cynfer.runtime.options import PROVIDER, RunOptions, SessionOptions, check_providers
from cynfer.runtime.ort_value import IOBinding, OrtValue
from cynfer.runtime.program import Handle
from cynfer.runtime.session import Session


@dataclass(frozen=True)
class NodeArg:
    """An input or output: its name, its type as in tensor(float), its shape of numbers, names and None."""

    name: str
    type: str
    shape: list[int | str | None]

    @staticmethod
    def of(name: str, fact: Fact | None) -> NodeArg:
        """From a fact; [] where the rank is not known, as onnxruntime says it."""
        if fact is None:
            return NodeArg(name, "", [])
        dims = fact.shape if fact.kind == "tensor" else ()
        return NodeArg(name, fact.type_name(), [_shown(d) for d in dims or ()])

    def __str__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


def _shown(dim: int | Dim) -> int | str | None:
    if not isinstance(dim, Dim):
        return int(dim)
    return None if any(n.startswith("?") for n in dim.names()) else str(dim)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model file says about itself."""

    producer_name: str = ""
    graph_name: str = ""
    domain: str = ""
    description: str = ""
    graph_description: str = ""
    version: int = 0
    custom_metadata_map: dict[str, str] = field(default_factory=dict)


class InferenceSession(Session):
    """Loads a model and runs it; a script written for onnxruntime finds its names here.

    model: path, bytes or onnx.ModelProto. sess_options: SessionOptions. providers: other providers than
    CPUExecutionProvider are accepted with a warning. threads: how many (default: all this process may use; overrides
    sess_options). precision: "highest", "high" or "medium", the least that float32 products may have; all three compute
    "highest" so far. isa: a weaker instruction set than the machine's. limits: budgets. check: run once with passes
    off and compare.
    """

    def __init__(self, model, sess_options: SessionOptions | None = None, providers: Sequence | None = None,
                 provider_options: Sequence | None = None, *, threads: int | None = None, precision: str = "highest",
                 isa: str | None = None, limits: Limits | None = None, check: bool = False, **kwargs: Any):
        for name in kwargs:
            if name not in ("disabled_optimizers", "enable_fallback"):
                raise InputError(f"InferenceSession has no argument {name!r}")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise InputError(f"sess_options is a {type(sess_options).__module__}.{type(sess_options).__name__}; "
                             "cynfer.SessionOptions is expected")
        check_providers(providers, provider_options)
        self._options = sess_options or SessionOptions()
        arguments = self._options.session_arguments()
        if threads is not None:
            arguments["threads"] = threads
        super().__init__(model, precision=precision, isa=isa, limits=limits, check=check, **arguments)
        self._arguments = {"model": model, "sess_options": sess_options, "threads": threads, "precision": precision,
                           "isa": isa, "limits": limits}
        self._profiling_start = time.perf_counter_ns()
        self._events: list[dict] | None = [] if self._options.enable_profiling else None

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any],  # type: ignore[override]
            run_options: RunOptions | None = None, *, timeout: float | None = None, handle: Handle | None = None,
            fetch_only: bool = False) -> list:
        """The outputs called `output_names` (None: all), in that order, for {input name: array}.

        Arrays, lists, NumPy scalars, OrtValues and DLPack objects go in; any intermediate value can be asked for by
        its name. timeout: seconds after which RunTimeoutError ends the run (a step that is a NumPy call ends first).
        Results own their memory. Ctrl-C ends a run too; the session stays usable.
        """
        if run_options is None and self._events is None:
            return Session.run(self, output_names, input_feed, timeout, handle, fetch_only)
        handle = handle or Handle()
        if run_options is not None:
            if not isinstance(run_options, RunOptions):
                raise InputError(f"run_options is a {type(run_options).__name__}; cynfer.RunOptions is expected")
            fetch_only = fetch_only or run_options.only_execute_path_to_fetches
            run_options.attach(handle)
        if self._events is not None and handle.times is None:
            handle.times = []
        began = time.perf_counter_ns()
        try:
            results = Session.run(self, output_names, input_feed, timeout, handle, fetch_only)
        finally:
            if run_options is not None:
                run_options.detach(handle)
        if self._events is not None:
            self._note(began, handle.times or [])
        return results

    def _note(self, began: int, times: list) -> None:
        assert self._events is not None
        where = {"ph": "X", "pid": os.getpid(), "tid": threading.get_native_id()}
        start = at = (began - self._profiling_start) / 1e3
        for node, kernel, _, seconds in times:
            self._events.append({"cat": "Node", "name": node.name or node.origin, "ts": at, "dur": seconds * 1e6,
                                 "args": {"op_name": node.op.title, "kernel": kernel, "provider": PROVIDER}, **where})
            at += seconds * 1e6
        self._events.append({"cat": "Session", "name": "model_run", "ts": start, **where, "args": {},
                             "dur": (time.perf_counter_ns() - began) / 1e3})

    def run_async(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any],
                  callback: Callable[[list, Any, str], None], user_data: Any,
                  run_options: RunOptions | None = None) -> None:
        """Starts a run in a thread of its own; callback(results, user_data, error message or '') is called there."""

        def work() -> None:
            try:
                results, error = self.run(output_names, input_feed, run_options), ""
            except Exception as problem:
                results, error = [], str(problem) or type(problem).__name__
            callback(results, user_data, error)

        threading.Thread(target=work, name="cynfer run_async").start()

    def run_with_ort_values(self, output_names: Sequence[str] | None, input_dict_ort_values: Mapping[str, OrtValue],
                            run_options: RunOptions | None = None) -> list[OrtValue]:
        """`run` with values in and out."""
        return [OrtValue(r) for r in self.run(output_names, input_dict_ort_values, run_options)]

    def io_binding(self) -> IOBinding:
        """A binding for this session."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None, *,
                           timeout: float | None = None) -> None:
        """Runs with what is bound; `iobinding.get_outputs()` has the results."""
        if iobinding._session is not self:
            raise InputError("the binding belongs to another session")
        iobinding.run(run_options, timeout)

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that must be fed."""
        return [NodeArg.of(v.name, v.fact) for v in self.model.graph.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs: as the model declares them, or as far as they can be inferred."""
        inferred = {} if self.closed else {v.name: v.fact for v in self.program.graph.outputs}
        declared = {name: f for name, f in self.model.outputs.items() if f.kind != "tensor" or f.shape is not None}
        return [NodeArg.of(name, declared.get(name, inferred.get(name))) for name in self.output_names]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The initializers that may be fed."""
        return [NodeArg.of(v.name, v.fact) for v in self.model.overridable]

    def get_modelmeta(self) -> ModelMetadata:
        """Producer, names, descriptions and metadata of the model."""
        m = self.model
        return ModelMetadata(m.producer_name, m.graph.name, m.domain, m.description, m.graph_description, m.version,
                             dict(m.metadata))

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """The one provider there is."""
        return [PROVIDER]

    def get_provider_options(self) -> dict[str, dict]:
        """It has no options."""
        return {PROVIDER: {}}

    def set_providers(self, providers: Sequence | None = None, provider_options: Sequence | None = None) -> None:
        """Warns about providers that are not there; changes nothing."""
        check_providers(providers, provider_options)

    def disable_fallback(self) -> None:
        """There is nothing to fall back to."""

    enable_fallback = disable_fallback

    def get_profiling_start_time_ns(self) -> int:
        """When the session's clock of profile events started."""
        return self._profiling_start

    def end_profiling(self) -> str:
        """Writes what was noted (SessionOptions.enable_profiling) as a Chrome trace; returns the file's name."""
        if self._events is None:
            raise InputError("nothing was profiled: SessionOptions.enable_profiling was not set")
        path = f"{self._options.profile_file_prefix}{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._events, file)
        self._events = None
        return path
