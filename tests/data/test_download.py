import contextlib
import gzip
import hashlib
import io
import multiprocessing
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from jaxnn.data import fetch
from jaxnn.data.download import alone, extract

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A mirror on this machine; `requests` are the (path, Range header) it saw, `cut` ends a response early."""

    def __init__(self, files, *, ranges=True, cut=None):
        self.files, self.ranges, self.cut, self.requests = files, ranges, cut, []

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.requests.append((handler.path, asked))
        if handler.path not in self.files:
            return handler.send_error(404)
        content, start = self.files[handler.path], 0
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return handler.send_error(416)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : self.cut])


@contextlib.contextmanager
def serving(files, **options):
    server = Server(files, **options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "file.bin"


def part_of(path, content=None):
    part = path.with_name(path.name + ".part")
    if content is not None:
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(content)
    return part


def test_downloads_verifies_and_renames(path):
    with serving({"/file.bin": CONTENT}) as server:
        assert fetch([server.url + "/file.bin"], path, sha256=SHA256) == path
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]
    assert server.requests == [("/file.bin", None)]


def test_a_file_that_is_there_is_verified_and_nothing_is_asked(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch([], path, sha256=SHA256) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=f"expected sha256 {SHA256}; received .* Delete the file"):
        fetch([], path, sha256=SHA256)


def test_resumes_a_partial_download(path):
    part_of(path, CONTENT[:100_000])
    with serving({"/file.bin": CONTENT}) as server:
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert server.requests == [("/file.bin", "bytes=100000-")]
    assert path.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(path):
    part_of(path, CONTENT[:100_000])
    with serving({"/file.bin": CONTENT}, ranges=False) as server:
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert server.requests == [("/file.bin", "bytes=100000-")]
    assert path.read_bytes() == CONTENT


def test_a_whole_part_is_only_renamed(path):
    part_of(path, CONTENT)
    with serving({"/file.bin": CONTENT}) as server:
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert server.requests == [("/file.bin", f"bytes={len(CONTENT)}-")]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"of another file", CONTENT + b"too long"], ids=["other", "too long"])
def test_a_part_of_something_else_is_fetched_anew(path, stale):
    part_of(path, stale)
    with serving({"/file.bin": CONTENT}) as server:
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert server.requests == [("/file.bin", f"bytes={len(stale)}-"), ("/file.bin", None)]
    assert path.read_bytes() == CONTENT


def test_a_cut_connection_leaves_no_final_file_and_the_next_call_resumes(path):
    with serving({"/file.bin": CONTENT}, cut=150_000) as server, pytest.raises(OSError, match="150000 of 300000 bytes"):
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert not path.exists()
    assert part_of(path).read_bytes() == CONTENT[:150_000]
    with serving({"/file.bin": CONTENT}) as server:
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert server.requests == [("/file.bin", "bytes=150000-")]
    assert path.read_bytes() == CONTENT


def test_an_interruption_leaves_no_final_file_and_keeps_what_came(path, monkeypatch):
    import http.client

    read, calls = http.client.HTTPResponse.read, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, *arguments)

    monkeypatch.setattr(http.client.HTTPResponse, "read", interrupted)
    with serving({"/file.bin": CONTENT}) as server, pytest.raises(KeyboardInterrupt):
        fetch([server.url + "/file.bin"], path, sha256=SHA256)
    assert not path.exists()
    came = part_of(path).read_bytes()
    assert 0 < len(came) < len(CONTENT)
    assert CONTENT.startswith(came)


def test_the_next_mirror_is_asked_when_one_lacks_the_file_or_serves_another(path):
    with serving({"/wrong": b"<html>log in</html>", "/file.bin": CONTENT}) as server:
        urls = [f"{server.url}/{name}" for name in ("missing", "wrong", "file.bin")]
        fetch(urls, path, sha256=SHA256)
    assert [asked for asked, _ in server.requests] == ["/missing", "/wrong", "/file.bin"]
    assert path.read_bytes() == CONTENT


def test_all_mirrors_failing_says_why_for_each(path):
    with serving({"/wrong": b"<html>log in</html>"}) as server:
        gone = server.url
    with serving({"/wrong": b"<html>log in</html>"}) as server:
        urls = [f"{gone}/file.bin", f"{server.url}/missing", f"{server.url}/wrong"]
        with pytest.raises(OSError, match="could not download file") as raised:
            fetch(urls, path, sha256=SHA256, timeout=5)
    message = str(raised.value)
    assert all(url in message for url in urls)
    assert all(reason in message for reason in ("refused", "404", f"expected sha256 {SHA256}; received", str(path)))
    assert list(path.parent.iterdir()) == []


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return path


def test_extract_takes_the_named_members_only(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    tar = archive(tmp_path / "a.tar.gz", {"../b.bin": b"b", "x/a.bin": b"a", "../../evil": b"e", "/abs/readme": b"r"})
    extract(tar, ["a.bin", "b.bin"], folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"a.bin": b"a", "b.bin": b"b"}
    assert {file.name for file in tmp_path.iterdir()} == {"out", "a.tar.gz"}


def test_extract_refuses_an_archive_without_the_members_or_with_links_in_their_place(tmp_path):
    tar = archive(tmp_path / "a.tar.gz", {"a.bin": b"a", "b.bin": None})
    with pytest.raises(ValueError, match=r"expected members b\.bin"):
        extract(tar, ["a.bin", "b.bin"], tmp_path)
    assert not (tmp_path / "b.bin").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"no archive at all" * 100,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: gzip.compress(gzip.decompress(whole)[:3584])[:-8] + bytes(8),  # without an end, of another sum
        lambda whole: gzip.compress(gzip.decompress(whole)[:700]),  # a member without its end
        lambda whole: gzip.compress(b"\xff" * 512 + gzip.decompress(whole)),
    ],
)
def test_extract_refuses_a_damaged_archive(tmp_path, damage):
    whole = archive(tmp_path / "a.tar.gz", {"a.bin": bytes(2000), "b.bin": b"b"}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(damage(whole))
    with pytest.raises(ValueError, match="Delete"):
        extract(tmp_path / "a.tar.gz", ["a.bin", "b.bin"], tmp_path)


def test_extract_takes_no_member_that_is_larger_than_what_the_archive_holds(tmp_path):
    whole = bytearray(gzip.decompress(archive(tmp_path / "a.tar.gz", {"a.bin": b"a"}).read_bytes()))
    whole[156:157], whole[483:495] = b"S", b"77777777777\0"  # sparse, of 8 GiB
    whole[148:156] = b" " * 8
    whole[148:156] = f"{sum(whole[:512]):06o}\0 ".encode()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(whole)))
    with pytest.raises(ValueError, match=r"expected members a\.bin"):
        extract(tmp_path / "a.tar.gz", ["a.bin"], tmp_path)


def _append(folder, entered):
    with alone(folder):
        entered.set()
        (folder / "log").write_text("child")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="folders are locked on POSIX only")
def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered = context.Event()
    child = context.Process(target=_append, args=(tmp_path, entered))
    with alone(tmp_path):
        child.start()
        assert not entered.wait(1.0)
    child.join(30)
    assert (tmp_path / "log").read_text() == "child"
