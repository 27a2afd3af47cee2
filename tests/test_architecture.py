"""Imports point down only; every operator file has its tests; kernels live where they are built once per ISA."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Layers from the bottom; a module may import from its own layer and from those below.
LAYERS = [
    ("kernels", re.compile(r"ops/(kernels/|faults\.)")),
    ("ops", re.compile(r"ops/")),
    ("graph", re.compile(r"runtime/(graph|builder|lower|limits|memory|load_\w+|onnx_\w+|external|functions)\.")),
    ("passes", re.compile(r"runtime/passes/")),
    ("executor", re.compile(r"runtime/")),
    ("models", re.compile(r"models/")),
    ("face", re.compile(r"src/cynfer/")),
]


def level(path: str) -> int:
    return next(i for i, (_, pattern) in enumerate(LAYERS) if pattern.match(path))


def sources():
    for folder in ("ops", "runtime", "src/cynfer"):
        for path in sorted((ROOT / folder).rglob("*.py*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".py", ".pyx", ".pxd") and not name.startswith(
                    ("src/cynfer/ops", "src/cynfer/runtime", "src/cynfer/models")):
                yield name, path


def imported(path: Path) -> set[str]:
    """Names of the cynfer modules that a source imports or cimports."""
    text = path.read_text()
    if path.suffix == ".py":
        found = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {a.name for a in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    else:
        found = set(re.findall(r"^\s*(?:from|cimport|import)\s+([\w.]+)", text, re.M))
    return {f for f in found if f.split(".")[0] == "cynfer"}


def where(module: str) -> str | None:
    """The file of a dotted name, or None if it names something inside a module."""
    parts = module.split(".")[1:]
    base = ROOT / "src/cynfer" if not parts or parts[0] not in ("ops", "runtime", "models") else ROOT
    path = base.joinpath(*parts)
    for candidate in (*(path.with_suffix(s) for s in (".py", ".pyx", ".pxd")), path / "__init__.py"):
        if parts and candidate.exists():
            return candidate.relative_to(ROOT).as_posix()
    return None


@pytest.mark.parametrize("name,path", list(sources()), ids=lambda x: x if isinstance(x, str) else "")
def test_imports_point_down(name, path):
    mine = level(name)
    for module in imported(path):
        target = where(module)
        if target is not None and not target.endswith(("passes/__init__.py", "runtime/__init__.py", "ops/__init__.py")):
            assert level(target) <= mine, f"{name} ({LAYERS[mine][0]}) imports {target} ({LAYERS[level(target)][0]})"


def test_kernel_folder_holds_kernels_alone():
    for path in (ROOT / "ops/kernels").glob("*.pyx"):
        first = path.read_text().splitlines()[0]
        assert re.fullmatch(r"# isa:( (base|avx2|avx512\w*|amx))+", first), f"{path.name}: first line is {first!r}"
        assert "KERNELS = " in path.read_text(), f"{path.name} offers no kernel"
    for path in (ROOT / "ops/kernels").glob("*.py"):
        assert path.name == "__init__.py"


def test_unsafe_directives_stand_in_setup_alone():
    for name, path in sources():
        if path.suffix == ".pyx":
            text = path.read_text()
            assert "boundscheck" not in text and "cdivision" not in text, f"{name} sets its own directives"


def test_openmp_regions_stand_in_the_executor_alone():
    for name, path in sources():
        if path.suffix == ".pyx" and name != "runtime/executor.pyx":
            assert "prange" not in path.read_text() and "cython.parallel" not in path.read_text(), name


def test_every_operator_file_registers_or_serves_one():
    from cynfer.ops.op import supported

    assert len(supported()) > 50
    for (domain, name), versions in supported().items():
        since = [v.since for v in versions]
        assert since == sorted(set(since)), f"{domain} {name} has a version twice"
