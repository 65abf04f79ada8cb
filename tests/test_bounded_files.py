"""No file can make its reader wait for ever or fill the memory, whatever stands in its place."""

import os

import pytest

from jaxnn.bounded_files import open_regular, read_bounded

READERS = (open_regular, lambda path: read_bounded(path, most=100))


def test_a_file_comes_back_whole_and_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00\n\r\n\xff")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert read_bounded(tmp_path / name, most=5) == b"\x00\n\r\n\xff"
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"\x00\n\r\n\xff"


def test_a_file_of_one_byte_too_many_is_refused_and_one_of_30_gib_takes_no_memory(tmp_path):
    for size in (101, 30 * 2**30):
        with open(tmp_path / "sparse", "wb") as file:
            file.truncate(size)
        with pytest.raises(ValueError, match=rf"sparse must have at most 100 bytes; it has {size}\. Is it damaged"):
            read_bounded(tmp_path / "sparse", most=100)


def test_what_is_appended_while_a_file_is_read_belongs_to_the_next_reading(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(bytes(100))
    size = os.stat(tmp_path / "file")
    (tmp_path / "file").write_bytes(bytes(200))
    monkeypatch.setattr(os, "fstat", lambda descriptor: size)
    assert read_bounded(tmp_path / "file", most=100) == bytes(100)


@pytest.mark.parametrize("read", READERS)
def test_a_pipe_a_device_and_a_folder_are_no_files(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path / "folder", "a folder"), ("/dev/zero", "a device")):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ValueError, match=f"must be a regular file; found {kind}"):
            read(path)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("read", READERS)
def test_what_cannot_be_opened_keeps_the_class_of_its_error_and_is_told_in_a_sentence(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"^cannot read .*/none: No such file or directory\. Check the name"):
        read(tmp_path / "none")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=r"^cannot read .*/loop: Too many levels of symbolic links\."):
        read(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"^cannot read .*/file/x: Not a directory\."):
        read(tmp_path / "file/x")
