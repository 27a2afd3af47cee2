"""Builds every .pyx of the package; those in a kernels/ folder once per instruction set that their first line names.

CYNFER_DEBUG=1 builds the kernels with Cython's checks on. CYNFER_ONLY=gemm,conv builds those sources alone.
"""

import os
import runpy
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

os.chdir(Path(__file__).resolve().parent)
ISAS = runpy.run_path("src/cynfer/ops/isa.py")["ISAS"]
CFLAGS = ["-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-g0", "-Wno-unused-function"]
SAFE = {"language_level": 3, "freethreading_compatible": False}
UNSAFE = {"boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False}
KERNEL = SAFE if os.environ.get("CYNFER_DEBUG") else {**SAFE, **UNSAFE}
ONLY = os.environ.get("CYNFER_ONLY", "").split(",") if os.environ.get("CYNFER_ONLY") else None


def extension(name: str, source: Path, flags=()) -> Extension:
    include = ["src/cynfer/ops", "src/cynfer/ops/kernels", "src/cynfer/runtime"]
    headers = [str(h) for folder in include for h in sorted(Path(folder).glob("*.h"))]
    return Extension(name, [str(source)], include_dirs=include, depends=headers,
                     extra_compile_args=[*CFLAGS, *flags], extra_link_args=["-fopenmp"])


def per_isa(name: str, source: Path):
    """One extension per instruction set, each from its own link to the source (so each has its own .c and .o)."""
    package, _, stem = name.rpartition(".")
    for isa in source.read_text().splitlines()[0].removeprefix("# isa:").split():
        if isa not in ISAS:  # another processor family
            continue
        link = Path("build/isa", *package.split("."), f"_{stem}_{isa}.pyx")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(source, link.parent))
        yield extension(f"{package}._{stem}_{isa}", link, ISAS[isa][0])


plain, kernels = [], []
for folder, _, files in os.walk("src", followlinks=True):
    for source in sorted(Path(folder, f) for f in files if f.endswith(".pyx")):
        name = ".".join(source.relative_to("src").with_suffix("").parts)
        if ONLY is not None and source.stem not in ONLY:
            continue
        if source.parent.name == "kernels":
            kernels += per_isa(name, source)
        else:
            plain.append(extension(name, source))

jobs = len(os.sched_getaffinity(0))
options = {"build_dir": "build/cython", "include_path": ["src"]}
setup(ext_modules=cythonize(plain, compiler_directives=SAFE, **options)
      + cythonize(kernels, compiler_directives=KERNEL, **options),
      options={"build_ext": {"parallel": jobs}})
