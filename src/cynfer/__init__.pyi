from cynfer import backend as backend
from cynfer.ops.errors import CynferError as CynferError
from cynfer.ops.errors import ExternalDataError as ExternalDataError
from cynfer.ops.errors import InputError as InputError
from cynfer.ops.errors import KernelError as KernelError
from cynfer.ops.errors import LimitError as LimitError
from cynfer.ops.errors import ModelError as ModelError
from cynfer.ops.errors import ModelFormatError as ModelFormatError
from cynfer.ops.errors import ModelNotFoundError as ModelNotFoundError
from cynfer.ops.errors import RunCancelledError as RunCancelledError
from cynfer.ops.errors import RunTimeoutError as RunTimeoutError
from cynfer.ops.errors import UnsupportedError as UnsupportedError
from cynfer.runtime.inference_session import InferenceSession as InferenceSession
from cynfer.runtime.inference_session import ModelMetadata as ModelMetadata
from cynfer.runtime.inference_session import NodeArg as NodeArg
from cynfer.runtime.limits import Limits as Limits
from cynfer.runtime.options import ExecutionMode as ExecutionMode
from cynfer.runtime.options import ExecutionOrder as ExecutionOrder
from cynfer.runtime.options import GraphOptimizationLevel as GraphOptimizationLevel
from cynfer.runtime.options import RunOptions as RunOptions
from cynfer.runtime.options import SessionOptions as SessionOptions
from cynfer.runtime.options import disable_telemetry_events as disable_telemetry_events
from cynfer.runtime.options import enable_telemetry_events as enable_telemetry_events
from cynfer.runtime.options import get_all_providers as get_all_providers
from cynfer.runtime.options import get_available_providers as get_available_providers
from cynfer.runtime.options import get_device as get_device
from cynfer.runtime.options import set_default_logger_severity as set_default_logger_severity
from cynfer.runtime.options import set_default_logger_verbosity as set_default_logger_verbosity
from cynfer.runtime.options import set_global_thread_pool_sizes as set_global_thread_pool_sizes
from cynfer.runtime.ort_value import IOBinding as IOBinding
from cynfer.runtime.ort_value import OrtValue as OrtValue

__version__: str

def get_version_string() -> str: ...
