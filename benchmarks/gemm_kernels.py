"""Matrix product and plain convolution kernels beside onnxruntime, one thread: GFLOP/s, best of several turns.

Run: python benchmarks/gemm_kernels.py [isa] [gemm|conv|transpose ...]
"""

import ctypes
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.machine import Machine

ROUNDS = 15
GEMM = [(128, 768, 768), (128, 3072, 768), (128, 768, 3072), (512, 768, 768), (1, 1000, 2048), (4, 1000, 2048),
        (1, 4096, 4096), (196, 256, 1024), (49, 512, 2048), (64, 64, 64), (128, 128, 64), (32, 384, 384),
        (1024, 1024, 1024), (1000, 1, 1000), (256, 8, 512)]
#: C, M, groups, H = W, kernel, stride
CONV = [(64, 64, 1, 56, 3, 1), (128, 128, 1, 28, 3, 1), (256, 256, 1, 14, 3, 1), (512, 512, 1, 7, 3, 1),
        (3, 64, 1, 224, 7, 2), (64, 256, 1, 56, 1, 1), (256, 64, 1, 56, 1, 1), (1024, 256, 1, 14, 1, 1),
        (512, 2048, 1, 7, 1, 1), (128, 256, 1, 28, 3, 2), (240, 240, 3, 28, 1, 1), (32, 32, 32, 112, 3, 1),
        (96, 96, 96, 112, 3, 2), (384, 384, 384, 14, 3, 1), (960, 960, 960, 7, 5, 1), (256, 64, 1, 1, 1, 1)]
TRANSPOSE = [(64, 32, 1, 28, 2, 2), (128, 64, 1, 14, 4, 2), (64, 64, 1, 28, 3, 1)]


class Args(ctypes.Structure):
    """`Args` of ops/kernels/abi.h."""

    _fields_ = [("p", ctypes.c_void_p), ("n", ctypes.c_void_p), ("f", ctypes.c_void_p), ("scratch", ctypes.c_void_p),
                ("scratch_bytes", ctypes.c_int64)]


def prepared(machine, kernel, operands, n, f=(0,), *, scratch=0):
    """A kernel's call with everything ready, so that neither Python nor fresh memory counts."""
    code = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(
        machine.address(kernel))
    room = np.ones(scratch + 64, np.uint8)
    pointers = np.array([0 if o is None else o.ctypes.data for o in operands], np.uintp)
    sizes, scalars, control = np.array(n, np.int64), np.array(f, np.float64), np.zeros(32, np.int64)
    args = Args(pointers.ctypes.data, sizes.ctypes.data, scalars.ctypes.data, -(-room.ctypes.data // 64) * 64, scratch)
    keep = (operands, pointers, sizes, scalars, control, args, room)
    at = ctypes.addressof(args), control.ctypes.data
    return lambda: code(*at, 0, 1) and keep


def peer(node, inputs, constants):
    """An onnxruntime session of one node, and its feeds."""
    graph = helper.make_graph(
        [node], "one", [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)[0]


def compare(name, flops, ours, theirs, y):
    """Interleaved best times; also that both agree."""
    ours()
    want = theirs()
    error = np.abs(y.reshape(want.shape) - want).max() / np.abs(want).max()
    calls = max(1, int(5e6 / flops))
    best = [1e9, 1e9]
    for _ in range(ROUNDS):
        for which, function in enumerate((ours, theirs)):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            best[which] = min(best[which], (time.perf_counter() - start) / calls)
    print(f"{name:28s} {flops / best[0] / 1e9:8.1f} {flops / best[1] / 1e9:8.1f} {best[1] / best[0]:6.2f}x "
          f"{best[0] * 1e6:9.1f} us   difference {error:.0e}", flush=True)


def gemm(machine, m, n, k):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    packed = np.zeros((-(-n // 32), k, 32), np.float32)
    y = np.zeros((m, n), np.float32)
    machine.call("f32_pack_b", [b, packed], [1, k, n, n, 1, 0])
    call = prepared(machine, "f32_gemm", [a, packed, y, None, None], [1, m, n, k, k, 1, n, 0, 0, 0, 0, 0, 0, 0], [1, 1],
                           scratch=655360)
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    compare(f"gemm {m} x {n} x {k}", 2 * m * n * k, call, peer(node, {"a": a}, {"b": b}), y)


def conv(machine, c, m, groups, size, kernel, stride, transposed=False):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, c, size, size), np.float32)
    pad = (kernel - 1) // 2
    out = (size - 1) * stride + kernel - 2 * pad if transposed else (size + 2 * pad - kernel) // stride + 1
    w = rng.standard_normal((c, m, kernel, kernel) if transposed else (m, c // groups, kernel, kernel), np.float32)
    bias = rng.standard_normal(m).astype(np.float32)
    y = np.zeros((1, m, out, out), np.float32)
    name = "f32_conv_transpose_plain" if transposed else "f32_conv_dw_plain" if groups == c else "f32_conv_plain"
    n = [1, c, m, groups, 1, size, size, 1, out, out, 1, kernel, kernel, 1, stride, stride, 1, 1, 1, 0, pad, pad, 0]
    call = prepared(machine, name, [x, w, bias, y], n, scratch=1507328)
    node = helper.make_node("ConvTranspose" if transposed else "Conv", ["x", "w", "b"], ["y"], group=groups,
                            pads=[pad] * 4, strides=[stride] * 2)
    flops = 2 * m * c // groups * kernel**2 * (size**2 if transposed else out**2)
    title = f"{name[4:-6]} {c}>{m} g{groups} {size} k{kernel} s{stride}"
    compare(title, flops, call, peer(node, {"x": x}, {"w": w, "b": bias}), y)


def main():
    words = sys.argv[1:]
    isa = next((w for w in words if w in ("base", "avx2", "avx512")), None)
    machine = Machine(isa=isa)
    print(f"{machine.isa:28s} {'cynfer':>8s} {'ort':>8s}   ratio       time")
    for kind in [w for w in words if w != isa] or ["gemm", "conv", "transpose"]:
        for case in {"gemm": GEMM, "conv": CONV, "transpose": TRANSPOSE}[kind]:
            if kind == "gemm":
                gemm(machine, *case)
            else:
                conv(machine, *case, transposed=kind == "transpose")


if __name__ == "__main__":
    main()
