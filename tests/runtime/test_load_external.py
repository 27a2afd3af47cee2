"""External data: one choke point, nothing outside the folder, the same bytes mapped once."""

import hashlib
import os
import threading

import numpy as np
import pytest
from model_maker import FLOAT, FOUR, external, model, outside, plain, relu, tensor
from onnx import TensorProto

from cynfer.ops.errors import ExternalDataError
from cynfer.runtime import external as module
from cynfer.runtime.limits import Limits
from cynfer.runtime.load_onnx import load

WANT = np.frombuffer(FOUR, np.float32)


def weights(model_) -> list[np.ndarray]:
    return [v.fact.value for v in model_.graph.constants()]


def pointing(name: str, location: str, count: int = 4, offset: int | None = None, dtype=FLOAT):
    proto = tensor([count], dtype, name, data_location=1)
    proto.external_data.add(key="location", value=location)
    if offset is not None:
        proto.external_data.add(key="offset", value=str(offset))
    return proto


def saved(folder, *tensors):
    """A model file that adds up nothing, but has these initializers as outputs."""
    path = folder / "model.onnx"
    path.write_bytes(model([], tensors, (), [(t.name, t.data_type, None) for t in tensors]))
    return path


def outputs(path, limits=None) -> list[np.ndarray]:
    return [v.fact.value for v in load(path, limits).graph.outputs]


@pytest.mark.parametrize("location", ["w.bin", "./w.bin", "sub//deep/./w.bin", "w bin;$x", "a~x/w", "ü.bin"])
def test_locations_that_are_fine(location, tmp_path):
    path = tmp_path / location
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FOUR)
    assert outputs(saved(tmp_path, pointing("w", location)))[0].tolist() == WANT.tolist()


def test_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w.bin").write_bytes(FOUR)
    saved(tmp_path / "real", pointing("w", "w.bin"))
    (tmp_path / "link").symlink_to("real")
    assert outputs(tmp_path / "link" / "model.onnx")[0].tolist() == WANT.tolist()


def test_folder_for_a_model_from_memory(tmp_path):
    data = plain()(tmp_path)
    with open(data, "rb") as file:
        content = file.read()
    assert weights(load(content, folder=tmp_path)) == []
    assert load(content, folder=tmp_path).graph.nodes


def test_hard_links_on_request(tmp_path):
    os.link(outside(tmp_path), tmp_path / "w.bin")
    path = saved(tmp_path, pointing("w", "w.bin"))
    with pytest.raises(ExternalDataError, match="hard links"):
        outputs(path)
    assert outputs(path, Limits(hard_links=True))[0].tolist() == WANT.tolist()


def test_offsets(tmp_path):
    """Aligned data is a view of the mapping, other data a copy; both are right."""
    values = np.arange(64, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(b"abc" + values.tobytes() + b"x" + values.tobytes())
    a, b = outputs(saved(tmp_path, pointing("a", "w.bin", 64, 3), pointing("b", "w.bin", 64, 260)))
    for array in (a, b):
        np.testing.assert_array_equal(array, values)
        assert array.flags.aligned and not array.flags.writeable


def test_packed_types(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"\x21\x03")
    array = outputs(saved(tmp_path, pointing("w", "w.bin", 3, dtype=TensorProto.UINT4)))[0]
    assert array.astype(int).tolist() == [1, 2, 3]


def test_same_bytes_are_one_array(tmp_path):
    """Thousands of tensors on the same bytes cost nothing."""
    (tmp_path / "w.bin").write_bytes(bytes(1 << 20))
    tensors = [pointing(f"w{i}", "w.bin" if i % 2 else "./w.bin", 1 << 18) for i in range(2000)]
    arrays = outputs(saved(tmp_path, *tensors), Limits(max_bytes=8 << 20))
    assert len({id(a) for a in arrays}) == 1


def test_more_files_than_are_kept(tmp_path):
    count = module.KEPT + 20
    for i in range(count):
        (tmp_path / f"{i}.bin").write_bytes(np.full(4, i, np.float32).tobytes())
    before = len(os.listdir("/proc/self/fd"))
    arrays = outputs(saved(tmp_path, *(pointing(f"w{i}", f"{i}.bin") for i in range(count))))
    assert [a[0] for a in arrays] == list(range(count))
    assert len(os.listdir("/proc/self/fd")) <= before + module.KEPT + 1
    del arrays
    assert len(os.listdir("/proc/self/fd")) <= before


def test_checksum_of_the_file(tmp_path):
    right = hashlib.sha1(FOUR).hexdigest().upper()
    assert load(external(tmp_path, checksum=right)).graph.nodes


def test_arrays_outlive_the_file(tmp_path):
    (tmp_path / "w.bin").write_bytes(FOUR)
    array = outputs(saved(tmp_path, pointing("w", "w.bin")))[0]
    os.unlink(tmp_path / "w.bin")
    assert array.tolist() == WANT.tolist()


@pytest.fixture(params=["openat2", "walk"])
def way(request, monkeypatch):
    """Both ways of opening: the kernel's, and component by component."""
    if request.param == "walk":
        monkeypatch.setattr(module, "_openat2", lambda root, path: None)
    return request.param


@pytest.mark.parametrize("link, target, location", [
    ("l.bin", "sub/w.bin", "l.bin"), ("l.bin", "../secret.bin", "l.bin"), ("l.bin", "nowhere", "l.bin"),
    ("l", "sub", "l/w.bin"), ("l", "..", "l/secret.bin"), ("l", "/", "l/etc/passwd"), ("l", "/proc/self", "l/exe"),
])
def test_links(way, link, target, location, tmp_path):
    outside(tmp_path / "model")
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "sub" / "w.bin").write_bytes(FOUR)
    (tmp_path / "model" / link).symlink_to(target)
    path = saved(tmp_path / "model", pointing("w", location))
    with pytest.raises(ExternalDataError, match=r"'w'.*symbolic link"):
        load(path)


@pytest.mark.parametrize("location, what", [("sub", "not a regular file"), ("w.bin/x", "cannot be opened"),
                                            ("no/w.bin", "is not there"), ("sub/w.bin", None)])
def test_both_ways_say_the_same(way, location, what, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("w.bin", "sub/w.bin"):
        (tmp_path / name).write_bytes(FOUR)
    path = saved(tmp_path, pointing("w", location))
    if what is None:
        assert outputs(path)[0].tolist() == WANT.tolist()
    else:
        with pytest.raises(ExternalDataError, match=what):
            load(path)


def test_file_swapped_while_loading(way, tmp_path):
    """A file that becomes a link to the outside again and again is read from the inside or refused."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(FOUR)
    (tmp_path / "secret.bin").write_bytes(bytes(reversed(FOUR)))
    path = saved(folder, pointing("w", "w.bin"))
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            os.symlink("../secret.bin", folder / "new")
            os.replace(folder / "new", folder / "w.bin")
            (folder / "new").write_bytes(FOUR)
            os.replace(folder / "new", folder / "w.bin")

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        for _ in range(200):
            try:
                outcomes.add(outputs(path)[0].tobytes())
            except ExternalDataError:
                outcomes.add(None)
    finally:
        stop.set()
        thread.join()
    assert outcomes <= {FOUR, None}


def test_plain_model_has_no_use_for_a_folder():
    assert load(model([relu()])).graph.nodes
