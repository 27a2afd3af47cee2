"""What a process does around a run: signals, forks, exits, idleness. Each test has a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import os, signal, sys, threading, time
import numpy as np
import cynfer
from small_models import add_relu, convs, matmuls
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
LONG = {"x": np.ones((2000, 2000), np.float32)}
def long_session(**kwargs):
    return cynfer.InferenceSession(matmuls(2000, 2000, 400), **kwargs)
def small(threads=2):
    session = cynfer.InferenceSession(matmuls(256, 256, 4), threads=threads)
    x = {"x": np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)}
    return session, x, session.run(None, x)[0].tobytes()
"""


def start(code: str, **environment: str) -> subprocess.Popen:
    """A Python process that runs START, then the code."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")}
    return subprocess.Popen([sys.executable, "-c", START + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env={**env, **environment, "PYTHONPATH": path})


def finish(process: subprocess.Popen, seconds: float = 120) -> str:
    """What it prints; fails unless it ends by itself with code 0."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"the process hangs; it printed {process.communicate()[0]!r}")
    assert process.returncode == 0, err[-2000:]
    return out


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_native_run_and_the_session_goes_on(threads):
    process = start(f"""
session, x, expected = small({threads})
long = long_session(threads={threads})
print("go", flush=True)
try:
    long.run(None, LONG)
    sys.exit("the run ended by itself")
except KeyboardInterrupt:
    pass
assert session.run(None, x)[0].tobytes() == expected
long.run(["r0"], LONG)
print("fine")
""")
    assert process.stdout.readline() == "go\n"
    for _ in range(50):  # until it is inside the run
        try:
            process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            break
    process.send_signal(signal.SIGINT)
    assert finish(process) == "fine\n"


def test_signal_handlers_run_during_a_run():
    assert finish(start("""
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
try:
    long_session().run(None, LONG, timeout=1.0)
except cynfer.RunTimeoutError:
    pass
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(seen) >= 3, seen
print("fine")
""")) == "fine\n"


@pytest.mark.parametrize("where", ["main thread", "another thread", "beside a running thread"])
def test_forks_after_a_run(where):
    """200 forks: every child runs the session with as many threads, gets the same bits and exits."""
    assert finish(start(f"""
where = {where!r}
session, x, expected = small()
if where == "another thread":
    thread = threading.Thread(target=session.run, args=(None, x))
    thread.start()
    thread.join()
elif where == "beside a running thread":
    stop = []
    def busy():
        while not stop:
            session.run(None, x)
    thread = threading.Thread(target=busy)
    thread.start()
for i in range(200):
    child = os.fork()
    if child == 0:
        ok = session.run(None, x)[0].tobytes() == expected
        feeds = {{"a": [[1, 2, 3]], "b": [[0, 0, -9]]}}
        ok = ok and np.array_equal(cynfer.InferenceSession(add_relu()).run(None, feeds)[0], [[1, 2, 0]])
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0, i
    assert i % 20 or session.run(None, x)[0].tobytes() == expected
if where == "beside a running thread":
    stop.append(1)
    thread.join()
print("fine")
"""), seconds=300) == "fine\n"


def test_a_child_does_not_inherit_a_lock_that_is_held():
    """A thread of the parent makes a program for other outputs, say, while the process forks."""
    assert finish(start("""
session = cynfer.InferenceSession(add_relu())
x = {n: np.ones((1, 3), np.float32) for n in "ab"}
with session._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if session.run(["s"], x)[0].tolist() == [[2, 2, 2]] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")).strip() == "0"


def test_nothing_spins_after_a_run():
    """A second of sleep after runs of two threads takes no CPU time."""
    assert finish(start("""
session, x, expected = small()
for _ in range(50):
    session.run(None, x)
before = time.process_time()
time.sleep(1.0)
used = time.process_time() - before
assert used < 0.1, used
print("fine")
""")) == "fine\n"


def test_environment_is_as_before_the_import():
    assert finish(start("assert 'OMP_WAIT_POLICY' not in os.environ; print('fine')")) == "fine\n"
    assert finish(start("print(os.environ['OMP_WAIT_POLICY'])", OMP_WAIT_POLICY="ACTIVE")) == "ACTIVE\n"


def test_omp_num_threads_is_the_default():
    code = "print(cynfer.InferenceSession(add_relu()).threads)"
    assert finish(start(code, OMP_NUM_THREADS="1")) == "1\n"


@pytest.mark.parametrize("daemon", [True, False])
def test_exit_while_another_thread_runs(daemon):
    assert finish(start(f"""
session = long_session()
def work():
    try:
        session.run(None, LONG, timeout=3)
    except cynfer.RunTimeoutError:
        pass
thread = threading.Thread(target=work, daemon={daemon})
thread.start()
time.sleep(0.5)
print("fine", flush=True)
""")) == "fine\n"


def test_pool_of_processes():
    assert finish(start("""
import multiprocessing
session, x, expected = small()
with multiprocessing.get_context("fork").Pool(2) as pool:  # bound methods travel pickled, with their session
    results = pool.starmap(session.run, [(None, x)] * 4)
assert all(r[0].tobytes() == expected for r in results)
print("fine")
""")) == "fine\n"
