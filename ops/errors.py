"""Every error that users meet. Each also derives from the built-in that a caller would catch.

A message says what is wrong, names the node, tensor or input, shows the offending value and the allowed range, and
escapes and cuts whatever comes from a file (`show`).
"""


class CynferError(Exception):
    """Base of all errors that this package raises on purpose."""


class ModelFormatError(CynferError, ValueError):
    """The bytes are not a model: empty, truncated, of another format."""


class ModelNotFoundError(ModelFormatError, FileNotFoundError):
    """There is no model file of that name."""


class ModelError(CynferError, ValueError):
    """The model's graph or one of its tensors contradicts itself or the standard."""


class ExternalDataError(ModelError):
    """A tensor's external file may not be read, or does not hold what the model says."""


class UnsupportedError(CynferError, NotImplementedError):
    """An operator, version, type or option that is not there (yet)."""


class LimitError(CynferError, RuntimeError):
    """A budget of `cynfer.Limits` would be exceeded."""


class RunTimeoutError(LimitError, TimeoutError):
    """A run did not end within its `timeout=`."""


class RunCancelledError(CynferError, RuntimeError):
    """A run was ended by `RunOptions.terminate` or by closing its session."""


class InputError(CynferError, ValueError):
    """A feed, an option or an argument that the caller gave does not fit."""


class KernelError(CynferError, ValueError):
    """A value met while running is outside what its operator allows (an index, a divisor, …)."""


def show(text: object, limit: int = 200) -> str:
    """`text` fit for a message: escaped like repr, cut to `limit` characters."""
    shown = repr(text if isinstance(text, (str, bytes)) else str(text))
    return shown if len(shown) <= limit else shown[: limit - 2] + "…'"
