"""onnxruntime's options: what changes something here does so, what cannot is accepted or refused as each says."""

from __future__ import annotations

import enum
import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cynfer.ops.errors import InputError, UnsupportedError
from cynfer.runtime.program import Handle

log = logging.getLogger("cynfer")
PROVIDER = "CPUExecutionProvider"


class GraphOptimizationLevel(enum.IntEnum):
    """ORT_DISABLE_ALL runs the graph without passes; every other level runs all passes."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Accepted; steps run one after the other, each with all threads."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    """Accepted; nodes run in the order of the model."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class SessionOptions:
    """How a session is made.

    Used: intra_op_num_threads (0: the default), graph_optimization_level, enable_profiling and profile_file_prefix,
    the free dimension overrides, the initializers. Refused when set: optimized_model_filepath, custom operator
    libraries. The rest is accepted and changes nothing: results are deterministic anyway, memory is planned anyway.
    """

    __slots__ = ("_cancelled", "_dims", "_entries", "_initializers", "enable_cpu_mem_arena", "enable_mem_pattern",
                 "enable_mem_reuse", "enable_profiling", "execution_mode", "execution_order",
                 "graph_optimization_level", "inter_op_num_threads", "intra_op_num_threads", "log_severity_level",
                 "log_verbosity_level", "logid", "optimized_model_filepath", "profile_file_prefix",
                 "use_deterministic_compute", "use_per_session_threads")

    def __init__(self):
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.execution_order = ExecutionOrder.DEFAULT
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.optimized_model_filepath = ""
        self.enable_cpu_mem_arena = self.enable_mem_pattern = self.enable_mem_reuse = True
        self.enable_profiling = False
        self.profile_file_prefix = "cynfer_profile_"
        self.log_severity_level, self.log_verbosity_level, self.logid = -1, 0, ""
        self.use_deterministic_compute, self.use_per_session_threads = False, True
        self._dims: dict[str, int] = {}
        self._entries: dict[str, str] = {}
        self._initializers: dict[str, Any] = {}
        self._cancelled = False

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Fixes the dimension that the model calls `name`."""
        self._dims[name] = size

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> None:
        """Fixes every dimension with this denotation."""
        self._dims[denotation] = size

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Kept and given back; changes nothing here."""
        self._entries[key] = value

    def get_session_config_entry(self, key: str) -> str:
        """What was added under that key; raises InputError if nothing was."""
        if key not in self._entries:
            raise InputError(f"there is no session config entry {key!r}")
        return self._entries[key]

    def add_initializer(self, name: str, value: Any) -> None:
        """Uses `value` (OrtValue or array) for the initializer of that name."""
        self._initializers[name] = value

    def add_external_initializers(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """Uses these values for the initializers of these names."""
        if len(names) != len(values):
            raise InputError(f"{len(names)} names of initializers, but {len(values)} values")
        self._initializers.update(zip(names, values, strict=True))

    def set_load_cancellation_flag(self, cancelled: bool) -> None:
        """True: sessions made with these options do not load."""
        self._cancelled = bool(cancelled)

    def register_custom_ops_library(self, path: str) -> None:
        """Not supported: raises UnsupportedError."""
        raise UnsupportedError(f"custom operator library {path!r}: such libraries are not supported")

    def has_providers(self) -> bool:
        """False: there is one provider, which needs no options."""
        return False

    def session_arguments(self) -> dict[str, Any]:
        """The keyword arguments of Session that these options mean; raises for those that cannot be kept."""
        if self.optimized_model_filepath:
            raise UnsupportedError(f"optimized_model_filepath={str(self.optimized_model_filepath)!r}: an optimised "
                                   "graph cannot be written to a file")
        if self._cancelled:
            from cynfer.ops.errors import RunCancelledError

            raise RunCancelledError("loading was cancelled (set_load_cancellation_flag)")
        levels = [int(level) for level in GraphOptimizationLevel]
        if self.graph_optimization_level not in levels:
            raise InputError(f"graph_optimization_level={self.graph_optimization_level!r}: one of "
                             f"{', '.join(map(str, levels))} is needed")
        return {"threads": self.intra_op_num_threads or None, "dims": self._dims, "initializers": self._initializers,
                "optimise": self.graph_optimization_level != GraphOptimizationLevel.ORT_DISABLE_ALL}


class RunOptions:
    """How one run goes. terminate: set it from another thread to end the runs that were given these options.

    only_execute_path_to_fetches: compute nothing that the outputs asked for do not need.
    """

    __slots__ = ("_entries", "_handles", "_lock", "_terminate", "log_severity_level", "log_verbosity_level", "logid",
                 "only_execute_path_to_fetches")

    def __init__(self):
        self.log_severity_level, self.log_verbosity_level, self.logid = -1, 0, ""
        self.only_execute_path_to_fetches = False
        self._terminate = False
        self._handles: set[Handle] = set()
        self._lock = threading.Lock()
        self._entries: dict[str, str] = {}

    @property
    def terminate(self) -> bool:
        """True: runs with these options end with RunCancelledError."""
        return self._terminate

    @terminate.setter
    def terminate(self, value: bool) -> None:
        with self._lock:
            self._terminate = bool(value)
            handles = list(self._handles) if value else []
        for handle in handles:
            handle.cancel()

    def attach(self, handle: Handle) -> None:
        """`terminate` reaches this run from now on."""
        with self._lock:
            self._handles.add(handle)
            if self._terminate:
                handle.cancel()

    def detach(self, handle: Handle) -> None:
        """The run is over."""
        with self._lock:
            self._handles.discard(handle)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Kept and given back; changes nothing here."""
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """What was added under that key; raises InputError if nothing was."""
        if key not in self._entries:
            raise InputError(f"there is no run config entry {key!r}")
        return self._entries[key]


def check_providers(providers, provider_options) -> None:
    """Warns, once for a call, about providers that are not there; raises InputError for what is none at all."""
    if providers is None:
        return
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise InputError(f"providers={providers!r}: a list of names is expected, such as [{PROVIDER!r}]")
    names = [p[0] if isinstance(p, tuple) and len(p) == 2 and isinstance(p[1], Mapping) else p for p in providers]
    for name in names:
        if not isinstance(name, str) or not name.endswith("ExecutionProvider"):
            raise InputError(f"providers: {name!r} is not a provider; {PROVIDER!r} is the one there is")
    if provider_options is not None and len(provider_options) != len(names):
        raise InputError(f"provider_options has {len(provider_options)} entries for {len(names)} providers")
    others = [n for n in names if n != PROVIDER]
    if others:
        warnings.warn(f"{', '.join(others)}: not available; the model runs on the CPU ({PROVIDER})", stacklevel=3)


def get_available_providers() -> list[str]:
    """The one provider there is."""
    return [PROVIDER]


get_all_providers = get_available_providers


def get_device() -> str:
    """CPU."""
    return "CPU"


def set_default_logger_severity(severity: int) -> None:
    """0 verbose, 1 info, 2 warning, 3 error, 4 fatal: the level of logging.getLogger("cynfer")."""
    if severity not in range(5):
        raise InputError(f"severity {severity!r}: a number from 0 to 4 is needed")
    log.setLevel((severity + 1) * 10)


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted; there is one level of verbose messages."""


def set_global_thread_pool_sizes(intra: int, inter: int = 0) -> None:
    """Sets how many threads all concurrent runs of the process share; inter is accepted."""
    from cynfer.runtime import executor, threads

    if not isinstance(intra, int) or intra < 0:
        raise InputError(f"thread pool size {intra!r}: a number of at least 0 is needed")
    executor.set_budget(intra or threads.default().count)


def disable_telemetry_events() -> None:
    """There is no telemetry."""


enable_telemetry_events = disable_telemetry_events
