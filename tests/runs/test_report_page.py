"""The page of a run: whole, alone, escaped, and in it what the run was."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxnn.diagnostics import plot_curves, save_figure
from jaxnn.runs import atomic_files
from jaxnn.runs.report_page import write_report
from jaxnn.version import __version__

VOID = {"meta", "img"}
ROW = {"train/loss": 0.08, "test/loss": 0.05, "test/accuracy": 0.9875, "test/count": 10000.0}
HISTORY = [{"step": 469 * i, "epoch": i, **ROW} for i in range(1, 13)]
MATRIX = np.array([[90, 10], [0, 100]])


class Page(HTMLParser):
    """Parses a page; holds its text, and every tag with its attributes."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title") and data.strip():
            self.text.append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def picture(tmp_path):
    return save_figure(plot_curves(HISTORY), tmp_path / "curves.png")


def write(folder, **changes):
    arguments = {"title": "lenet5 on mnist", "facts": {"model": "LeNet5"}, "history": HISTORY, "pictures": {}}
    return Page(write_report(folder, **(arguments | changes)))


def test_what_is_on_the_page(tmp_path, picture):
    page = write(
        tmp_path,
        facts={"model": "LeNet5, 61 706 parameters", "seed": 0},
        pictures={"Loss and accuracy": picture},
        command="jaxnn train --model lenet5",
        matrix=MATRIX,
        classes=["cat", "dog"],
    )
    text = "\n".join(page.text)
    assert page.text[:4] == [
        "lenet5 on mnist",
        "98.75 %",
        "test accuracy after 12 epochs: 125 of 10 000 wrong",
        "jaxnn train --model lenet5",
    ]
    assert "model\nLeNet5, 61 706 parameters\nseed\n0" in text
    assert "Loss and accuracy" in page.text
    assert "cat\n100\n90\n90.00 %\ndog (10)\ndog\n100\n100\n100.00 %\n–" in text
    assert page.text[-1] == f"Written by jaxnn {__version__}"


def test_the_picture_travels_with_the_page(tmp_path, picture):
    page = write(tmp_path, pictures={"Loss & accuracy": picture})
    (image,) = page.all("img")
    prefix, data = image["src"].split(",")
    assert (prefix, base64.b64decode(data)) == ("data:image/png;base64", picture.read_bytes())
    assert (image["alt"], image["width"], image["height"]) == ("Loss & accuracy", "1119", "419")


def test_the_page_needs_no_other_resource(tmp_path, picture):
    page = write(tmp_path, pictures={"curves": picture}, facts={"source": "https://example.org/data"})
    assert not {"script", "link", "iframe", "object", "base", "a", "form"} & {tag for tag, _ in page.tags}
    addresses = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "srcset")]
    assert len(addresses) == 1
    assert addresses[0].startswith("data:")
    style = re.search(r"<style>(.*)</style>", page.source, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_the_page_is_for_people_too(tmp_path, picture):
    page = write(tmp_path, pictures={"curves": picture})
    assert page.source.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"main", "header", "section", "figure", "figcaption", "footer"} <= {tag for tag, _ in page.tags}
    assert len(page.all("h1")) == 1
    assert "prefers-color-scheme: dark" in page.source
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


EVIL = "\"><script>alert(1)</script><img src=http://evil/ & '$title ${body}\udcff"


def test_everything_from_outside_is_escaped(tmp_path, picture):
    page = write(
        tmp_path,
        title=EVIL,
        facts={EVIL: EVIL},
        pictures={EVIL: picture},
        command=EVIL,
        history=[{EVIL: 1.0, **HISTORY[0]}],
        matrix=MATRIX,
        classes=[EVIL, "dog"],
    )
    assert page.all("script") == []
    assert len(page.all("img")) == 1
    shown = EVIL.replace("\udcff", "?")
    assert page.text.count(shown) == 6  # heading, command, fact and its name, caption, class
    assert shown.replace("/", " ") in page.text  # a column of the history
    assert page.all("img")[0]["alt"] == shown


def test_the_history_shows_its_last_rows_and_gaps(tmp_path):
    page = write(
        tmp_path, history=[*HISTORY, {"step": 7000, "epoch": 13, "test/accuracy": None, "test/loss": float("nan")}]
    )
    text = "\n".join(page.text)
    assert "History: the last 10 of 13 evaluations" in text
    assert "step\nepoch\ntrain loss\ntest loss\ntest accuracy\n1 876\n4\n0.08\n0.05\n98.75 %" in text
    assert "7 000\n13\n–\n–\n–" in text
    assert "count" not in text


@pytest.mark.parametrize(
    ("row", "headline"),
    [
        ({"test/accuracy": 0.5}, ["50.00 %", "test accuracy after 1 epoch"]),
        ({"test/loss": 0.25, "epoch": 3}, ["0.25", "test loss after 3 epochs"]),
        ({"train/loss": 0.25, "test/accuracy": float("nan")}, ["0.25", "train loss after 1 epoch"]),
        ({"step": 4}, []),
    ],
)
def test_the_headline_is_the_best_there_is(tmp_path, row, headline):
    page = write(tmp_path, history=[row])
    assert page.text[1 : 1 + len(headline)] == headline
    assert page.text[1 + len(headline)] == "Facts"


def test_a_run_without_evaluations(tmp_path):
    assert write(tmp_path, history=[]).text[:2] == ["lenet5 on mnist", "Facts"]


def test_a_class_without_examples(tmp_path):
    page = write(tmp_path, matrix=[[0, 0], [1, 3]], classes=["cat", "dog"])
    assert "cat\n0\n0\n–\n–\ndog\n4\n3\n75.00 %\ncat (1)" in "\n".join(page.text)


def test_refusals_leave_the_old_page(tmp_path, picture, monkeypatch):
    before = write(tmp_path).source
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="must be a PNG"):
        write(tmp_path, pictures={"text": tmp_path / "text.png"})
    with pytest.raises(ValueError, match=r"a row for each of 1 classes; received \(2, 2\)"):
        write(tmp_path, matrix=MATRIX, classes=["cat"])
    with pytest.raises(FileNotFoundError):
        write(tmp_path, pictures={"missing": tmp_path / "missing.png"})
    monkeypatch.setattr(atomic_files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, title="new")
    assert (tmp_path / "report.html").read_text() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["curves.png", "report.html", "text.png"]
