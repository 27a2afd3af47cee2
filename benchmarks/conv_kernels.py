"""Times the convolution kernels layer by layer, beside onnxruntime's Conv node in the same run, one thread.

    python benchmarks/conv_kernels.py [--isa avx512] [--net resnet50] [--repeat 20] [--no-peer]

Columns: GFLOP/s with everything warm; with weights and output flushed from the second-level cache and the input just
written, as in a network. The latter against onnxruntime's (its Conv node alone, from its profile, after the same flush;
its layout conversion has just written the input) and against the peak of fused multiply-adds measured in the same run.
Random dense data.
"""

import argparse
import ctypes
import json
import os
import subprocess
import tempfile
import time

import numpy as np

from cynfer.ops.machine import Machine

#: C, H, W, O, kernel, stride, pad, groups, how many in the network
NETS = {
    "resnet50": [
        (3, 224, 224, 64, 7, 2, 3, 1, 1), (64, 56, 56, 64, 1, 1, 0, 1, 1), (64, 56, 56, 64, 3, 1, 1, 1, 3),
        (64, 56, 56, 256, 1, 1, 0, 1, 4), (256, 56, 56, 64, 1, 1, 0, 1, 2), (256, 56, 56, 128, 1, 1, 0, 1, 1),
        (128, 56, 56, 128, 3, 2, 1, 1, 1), (128, 28, 28, 512, 1, 1, 0, 1, 4), (256, 56, 56, 512, 1, 2, 0, 1, 1),
        (512, 28, 28, 128, 1, 1, 0, 1, 3), (128, 28, 28, 128, 3, 1, 1, 1, 3), (512, 28, 28, 256, 1, 1, 0, 1, 1),
        (256, 28, 28, 256, 3, 2, 1, 1, 1), (256, 14, 14, 1024, 1, 1, 0, 1, 6), (512, 28, 28, 1024, 1, 2, 0, 1, 1),
        (1024, 14, 14, 256, 1, 1, 0, 1, 5), (256, 14, 14, 256, 3, 1, 1, 1, 5), (1024, 14, 14, 512, 1, 1, 0, 1, 1),
        (512, 14, 14, 512, 3, 2, 1, 1, 1), (512, 7, 7, 2048, 1, 1, 0, 1, 3), (1024, 14, 14, 2048, 1, 2, 0, 1, 1),
        (2048, 7, 7, 512, 1, 1, 0, 1, 2), (512, 7, 7, 512, 3, 1, 1, 1, 2)],
    "resnet18": [
        (64, 56, 56, 64, 3, 1, 1, 1, 4), (64, 56, 56, 128, 3, 2, 1, 1, 1), (64, 56, 56, 128, 1, 2, 0, 1, 1),
        (128, 28, 28, 128, 3, 1, 1, 1, 3), (128, 28, 28, 256, 3, 2, 1, 1, 1), (256, 14, 14, 256, 3, 1, 1, 1, 3),
        (256, 14, 14, 512, 3, 2, 1, 1, 1), (512, 7, 7, 512, 3, 1, 1, 1, 3)],
    "vgg16": [
        (3, 224, 224, 64, 3, 1, 1, 1, 1), (64, 224, 224, 64, 3, 1, 1, 1, 1), (64, 112, 112, 128, 3, 1, 1, 1, 1),
        (128, 112, 112, 128, 3, 1, 1, 1, 1), (128, 56, 56, 256, 3, 1, 1, 1, 1), (256, 56, 56, 256, 3, 1, 1, 1, 2),
        (256, 28, 28, 512, 3, 1, 1, 1, 1), (512, 28, 28, 512, 3, 1, 1, 1, 2), (512, 14, 14, 512, 3, 1, 1, 1, 3)],
    "googlenet": [
        (64, 56, 56, 192, 3, 1, 1, 1, 1), (192, 28, 28, 64, 1, 1, 0, 1, 1), (96, 28, 28, 128, 3, 1, 1, 1, 1),
        (16, 28, 28, 32, 5, 1, 2, 1, 1), (192, 28, 28, 16, 1, 1, 0, 1, 1), (480, 14, 14, 192, 1, 1, 0, 1, 1),
        (96, 14, 14, 208, 3, 1, 1, 1, 1), (24, 14, 14, 64, 5, 1, 2, 1, 1), (832, 7, 7, 384, 1, 1, 0, 1, 1),
        (192, 7, 7, 384, 3, 1, 1, 1, 1), (48, 7, 7, 128, 5, 1, 2, 1, 1)],
    "densenet": [
        (64, 56, 56, 128, 1, 1, 0, 1, 1), (128, 56, 56, 32, 3, 1, 1, 1, 6), (256, 28, 28, 128, 1, 1, 0, 1, 6),
        (128, 28, 28, 32, 3, 1, 1, 1, 12), (640, 14, 14, 128, 1, 1, 0, 1, 12), (128, 14, 14, 32, 3, 1, 1, 1, 24),
        (768, 7, 7, 128, 1, 1, 0, 1, 8), (128, 7, 7, 32, 3, 1, 1, 1, 16)],
    "squeezenet": [
        (3, 224, 224, 64, 3, 2, 0, 1, 1), (64, 55, 55, 16, 1, 1, 0, 1, 1), (16, 55, 55, 64, 1, 1, 0, 1, 2),
        (16, 55, 55, 64, 3, 1, 1, 1, 2), (128, 27, 27, 32, 1, 1, 0, 1, 1), (32, 27, 27, 128, 3, 1, 1, 1, 2),
        (384, 13, 13, 48, 1, 1, 0, 1, 1), (48, 13, 13, 192, 3, 1, 1, 1, 2), (512, 13, 13, 1000, 1, 1, 0, 1, 1)],
    "alexnet": [(3, 224, 224, 64, 11, 4, 2, 1, 1), (64, 27, 27, 192, 5, 1, 2, 1, 1), (192, 13, 13, 384, 3, 1, 1, 1, 1)],
    "mobilenet": [
        (3, 224, 224, 32, 3, 2, 1, 1, 1), (32, 112, 112, 32, 3, 1, 1, 32, 1), (96, 112, 112, 96, 3, 2, 1, 96, 1),
        (144, 56, 56, 144, 3, 1, 1, 144, 1), (144, 56, 56, 144, 3, 2, 1, 144, 1), (192, 28, 28, 192, 3, 1, 1, 192, 2),
        (192, 28, 28, 192, 3, 2, 1, 192, 1), (384, 14, 14, 384, 3, 1, 1, 384, 4), (576, 14, 14, 576, 3, 2, 1, 576, 1),
        (960, 7, 7, 960, 3, 1, 1, 960, 3), (240, 28, 28, 240, 5, 1, 2, 240, 1), (672, 14, 14, 672, 5, 2, 2, 672, 1),
        (1152, 7, 7, 1152, 5, 1, 2, 1152, 1), (32, 112, 112, 16, 1, 1, 0, 1, 1), (16, 112, 112, 96, 1, 1, 0, 1, 1),
        (144, 56, 56, 24, 1, 1, 0, 1, 1), (24, 56, 56, 144, 1, 1, 0, 1, 1), (192, 28, 28, 32, 1, 1, 0, 1, 1),
        (32, 28, 28, 192, 1, 1, 0, 1, 1), (384, 14, 14, 64, 1, 1, 0, 1, 1), (96, 14, 14, 576, 1, 1, 0, 1, 1),
        (160, 7, 7, 960, 1, 1, 0, 1, 1), (320, 7, 7, 1280, 1, 1, 0, 1, 1)],
}

PEAK = """
typedef float v __attribute__((vector_size(VW * 4)));
double run(long n, float *data) {
    v *p = (v *)data, a = p[12], b = p[13];
    v c0=p[0],c1=p[1],c2=p[2],c3=p[3],c4=p[4],c5=p[5],c6=p[6],c7=p[7],c8=p[8],c9=p[9],c10=p[10],c11=p[11];
    for (long i = 0; i < n; i++) {
        c0=c0*a+b;c1=c1*a+b;c2=c2*a+b;c3=c3*a+b;c4=c4*a+b;c5=c5*a+b;
        c6=c6*a+b;c7=c7*a+b;c8=c8*a+b;c9=c9*a+b;c10=c10*a+b;c11=c11*a+b;
    }
    c0 += c1+c2+c3+c4+c5+c6+c7+c8+c9+c10+c11;
    return c0[0];
}
"""


def fma_peak(isa):
    """A function that measures the GFLOP/s of independent multiply-adds on this core, now."""
    width, arch = {"avx512": (16, "v4"), "avx2": (8, "v3"), "base": (4, "v2")}[isa]
    with tempfile.TemporaryDirectory() as folder:
        source, library = f"{folder}/peak.c", f"{folder}/peak.so"
        with open(source, "w") as file:
            file.write(PEAK.replace("VW", str(width)))
        subprocess.run(["gcc", "-O2", f"-march=x86-64-{arch}", "-mprefer-vector-width=512", "-shared", "-fPIC", source,
                        "-o", library], check=True)
        run = ctypes.CDLL(library).run
        run.restype = ctypes.c_double
        data = aligned(14 * width, np.random.default_rng(1).uniform(-0.9, 0.9, 14 * width))
        args = ctypes.c_long(50_000), ctypes.c_void_p(data.ctypes.data)
        return lambda keep=data: 24 * width * 5e4 / seconds(run, *args) / 1e9


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def aligned(shape, fill=None):
    """float32 array at a multiple of 64 bytes."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 16, np.float32)
    at = -raw.ctypes.data % 64 // 4
    array = raw[at: at + size].reshape(shape)
    if fill is not None:
        array[...] = fill
    return array


class Args(ctypes.Structure):
    _fields_ = (("p", ctypes.c_void_p), ("n", ctypes.c_void_p), ("f", ctypes.c_void_p), ("scratch", ctypes.c_void_p),
                ("scratch_bytes", ctypes.c_int64))


def caller(machine, kernel, operands, n, f=(0.0, 0.0), scratch=0):
    """A function that calls the kernel in one thread with little overhead."""
    keep = [np.array([0 if o is None else o.ctypes.data for o in operands], np.uintp), np.array(n, np.int64),
            np.array(f, np.float64), aligned(scratch // 4 + 16), np.zeros(64, np.int64), operands]
    args = Args(*(k.ctypes.data for k in keep[:4]), scratch)
    code = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(
        machine.address(kernel))
    address, ctl = ctypes.addressof(args), keep[4].ctypes.data

    def call(_keep=(keep, args)):
        code(address, ctl, 0, 1)

    def touch():
        np.negative(operands[0], out=operands[0])

    call.touch = touch
    return call


def ours(machine, layer, batch, rng):
    from cynfer.ops.kernels import _conv_base as conv

    c, h, w, o, k, s, p, g, _ = layer
    oh, ow = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    n = [batch, c, h, w, o, oh, ow, k, k, s, s, 1, 1, p, p, g, 0]
    y, bias = aligned((batch, -(-o // 16), oh, ow, 16), 0), aligned(-(-o // 16) * 16, 0)
    if g == c == o and g > 1:
        weights = aligned((-(-c // 16), k * k, 16), rng.standard_normal((1, k * k, 16)))
        x = aligned((batch, -(-c // 16), h, w, 16), rng.standard_normal((1, h, w, 16)))
        return caller(machine, "f32_conv_dw_c16", [x, weights, bias, y], n)
    if c < 16:
        from cynfer.ops.kernels import _stem_base as stem

        weights = aligned((-(-o // 32), c * k * k, 32), rng.standard_normal((c * k * k, 32)))
        x = aligned((batch, c, h, w), rng.standard_normal((c, h, w)))
        return caller(machine, "f32_conv_stem", [x, weights, bias, y], n, scratch=stem.scratch_bytes(n))
    pack = [o, c // g, k, k, g, g]
    weights = aligned(conv.packed_floats(pack))
    weights[:] = np.resize(rng.standard_normal(10007), weights.size)
    x = aligned((batch, -(-c // 16), h, w, 16), rng.standard_normal((h, w, 16)))
    return caller(machine, "f32_conv_c16", [x, weights, bias, y], n, scratch=conv.scratch_bytes(n))


class Peer:
    """onnxruntime on one Conv node; its times come from its profile."""

    def __init__(self, layer, batch, rng):
        import onnx
        import onnxruntime as ort
        from onnx import helper

        c, h, w, o, k, s, p, g, _ = layer
        weights = rng.standard_normal((o, c // g, k, k)).astype(np.float32)
        node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[s, s], pads=[p] * 4, group=g)
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", 1, [batch, c, h, w])],
            [helper.make_tensor_value_info("y", 1, None)],
            [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.zeros(o, np.float32), "b")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(tempfile.gettempdir(), f"conv_kernels_{os.getpid()}")
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.feeds = {"x": rng.standard_normal((batch, c, h, w)).astype(np.float32)}

    def __call__(self):
        self.session.run(None, self.feeds)

    def times(self):
        """Seconds of the Conv node in each run so far; ends the session."""
        path = self.session.end_profiling()
        with open(path) as file:
            events = json.load(file)
        os.remove(path)
        return [e["dur"] / 1e6 for e in events if e.get("args", {}).get("op_name") == "Conv"
                and e["name"].endswith("kernel_time")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa")
    parser.add_argument("--net", action="append", choices=list(NETS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--only", default="", help="layers whose name contains this")
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    machine, rng = Machine(options.isa), np.random.default_rng(0)
    measure_peak = fma_peak(machine.isa)
    flush = np.zeros(2 << 20, np.float32)
    print(f"{machine.isa}: FMA peak {max(measure_peak() for _ in range(20)):.0f} GFLOP/s")
    for net in options.net or NETS:
        total = peer_total = 0.0
        print(f"{net:34s}   warm   cold  %peak    peer  ratio")
        for layer in NETS[net]:
            c, h, w, o, k, s, p, g, count = layer
            flops = 2 * options.batch * o * ((h + 2 * p - k) // s + 1) * ((w + 2 * p - k) // s + 1) * c // g * k * k
            name = f"{k}x{k}" + (f"s{s}" if s > 1 else "") + (f"g{g}" if g > 1 else "") + f" {c}->{o} @{h}"
            if options.only not in name:
                continue
            call = ours(machine, layer, options.batch, rng)
            peer = None if options.no_peer else Peer(layer, options.batch, rng)
            warm, cold, peak = 1e9, 1e9, 0.0
            for _ in range(3):
                peak = max([peak] + [measure_peak() for _ in range(5)])
                warm = min([warm] + [seconds(call) for _ in range(options.repeat)])
                for _ in range(options.repeat):
                    np.add(flush, 1, out=flush)
                    call.touch()
                    cold = min(cold, seconds(call))
                    if peer:
                        np.add(flush, 1, out=flush)
                        peer()
            line = f"  {name:32s} {flops / warm / 1e9:6.0f} {flops / cold / 1e9:6.0f} {flops / cold / 1e7 / peak:5.0f}%"
            total += cold * count
            if peer:
                best = min(peer.times())
                peer_total += best * count
                line += f" {flops / best / 1e9:7.0f} {best / cold:6.2f}"
            print(line + f"  x{count}", flush=True)
        print(f"  sum {total * 1e3:.2f} ms" + (f", peer {peer_total * 1e3:.2f} ms, ratio {peer_total / total:.2f}"
                                              if peer_total else ""))


if __name__ == "__main__":
    main()
