"""Loads models, plans them and runs them.

libgomp reads its wait policy once, when it is loaded; by default its idle threads spin for milliseconds after each
parallel region. So the executor, which loads it, is imported here first, while the environment asks for passive
waiting; the environment is as before afterwards. Where another package has loaded libgomp already, or the user has set
OMP_WAIT_POLICY or GOMP_SPINCOUNT, that stays as it is.
"""

import os


def _load_executor() -> None:
    chosen = os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    if not chosen:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        from cynfer.runtime import executor  # noqa: F401
    finally:
        if not chosen:
            del os.environ["OMP_WAIT_POLICY"]


_load_executor()
