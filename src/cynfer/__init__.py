"""cynfer runs ONNX models on CPUs.

Names are loaded when they are first used, so that `import cynfer` costs next to nothing. Type checkers and editors read
the names from __init__.pyi.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: {public name: module that has it}.
_HOMES = {
    **dict.fromkeys(("InferenceSession", "ModelMetadata", "NodeArg"), "cynfer.runtime.inference_session"),
    **dict.fromkeys(("ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel", "RunOptions", "SessionOptions",
                     "disable_telemetry_events", "enable_telemetry_events", "get_all_providers",
                     "get_available_providers", "get_device", "set_default_logger_severity",
                     "set_default_logger_verbosity", "set_global_thread_pool_sizes"), "cynfer.runtime.options"),
    **dict.fromkeys(("IOBinding", "OrtValue"), "cynfer.runtime.ort_value"),
    "Limits": "cynfer.runtime.limits",
    **dict.fromkeys(("CynferError", "ExternalDataError", "InputError", "KernelError", "LimitError", "ModelError",
                     "ModelFormatError", "ModelNotFoundError", "RunCancelledError", "RunTimeoutError",
                     "UnsupportedError"), "cynfer.ops.errors"),
}
#: Parts that are modules of their own.
_MODULES = ("backend",)


def get_version_string() -> str:
    """The version of cynfer."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"cynfer.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'cynfer' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})


__all__ = [*_HOMES, "get_version_string"]
