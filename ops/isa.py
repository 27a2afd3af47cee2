"""The instruction sets that kernels are built for: the one list, read by setup.py and by the machine.

A kernel source names the sets it is built for in its first line (``# isa: base avx2 avx512``). A machine uses, for
each kernel, the strongest build that the CPU and the operating system can run and that the caller did not forbid.
"""

import platform

#: name: (compiler flags, CPU features the flags enable), weakest first.
ISAS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "base": (["-march=x86-64-v2"], ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt")),
    "avx2": (["-march=x86-64-v3"], ("avx", "avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe")),
    "avx512": (["-march=x86-64-v4"], ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
}

if platform.machine() not in ("x86_64", "AMD64"):
    ISAS = {"base": ([], ())}
