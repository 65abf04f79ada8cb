"""The page of a run: whole, alone, escaped, and in it what the run was."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxnn.plots import plot_curves
from jaxnn.plots.figure_style import png_of
from jaxnn.runs import atomic_files
from jaxnn.runs.report_page import Picture, write_report
from jaxnn.version import __version__

VOID = {"meta", "img", "source"}
ROW = {"train/loss": 0.08, "test/loss": 0.05, "test/accuracy": 0.9875, "test/count": 10000.0}
HISTORY = [{"step": 469 * i, "epoch": i, **ROW} for i in range(1, 13)]
MATRIX = np.array([[90, 10], [0, 100]])


class Page(HTMLParser):
    """Parses a page; holds its text, with plain spaces, and every tag with its attributes."""

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
            self.text.append(data.strip().replace("\xa0", " "))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def png():
    return png_of(plot_curves(HISTORY))


def write(folder, **changes):
    arguments = {"title": "lenet5 on mnist", "facts": {"model": "LeNet5"}, "history": HISTORY}
    return Page(write_report(folder, **(arguments | changes)))


def test_what_is_on_the_page(tmp_path, png):
    page = write(
        tmp_path,
        kicker="lenet5-001",
        numbers={"parameters": "61 706"},
        interval=(0.985, 0.99),
        facts={"optimizer": "adam", "seed": 0},
        pictures=[Picture("Loss and accuracy", png, note="Of each epoch.")],
        command="jaxnn train --model lenet5",
        matrix=MATRIX,
        classes=["cat", "dog"],
        configuration={"epochs": 3},
    )
    text = "\n".join(page.text)
    assert page.text[:8] == [
        "lenet5-001",
        "lenet5 on mnist",
        "98.75 %",
        "test accuracy after 12 epochs: 125 of 10 000 wrong",
        "95 % confidence interval: 98.50 % to 99.00 %",
        "parameters",
        "61 706",
        "jaxnn train --model lenet5",
    ]
    assert "optimizer\nadam\nseed\n0" in text
    assert "Loss and accuracy\nOf each epoch." in text
    assert "cat\n100\n10\n90.00 %\ndog (10 ×)\ndog\n100\n0\n100.00 %\n–" in text
    assert '{\n  "epochs": 3\n}' in text
    assert page.text[-1] == f"Written by jaxnn {__version__}"


def test_the_picture_travels_with_the_page(tmp_path, png):
    page = write(tmp_path, pictures=[Picture("Loss & accuracy", png)])
    (image,) = page.all("img")
    assert decoded(image["src"]) == png
    assert (image["alt"], image["width"], image["height"]) == ("Loss & accuracy", "1119", "419")
    assert image["class"] == "ink large"  # inverted in the dark, scrolled on a telephone


def test_a_narrow_form_of_a_picture_is_shown_where_the_page_is_narrow(tmp_path, png):
    narrow = png_of(plot_curves(HISTORY, narrow=True))
    page = write(tmp_path, pictures=[Picture("curves", png, narrow, inverts=False)])
    (source,), (image,) = page.all("source"), page.all("img")
    assert (decoded(source["srcset"]), decoded(image["src"])) == (narrow, png)
    assert "max-width" in source["media"]
    assert image["class"] == ""


def decoded(address):
    prefix, data = address.split(",")
    assert prefix == "data:image/png;base64"
    return base64.b64decode(data)


def test_sections_stand_in_order_and_half_pictures_beside_what_follows(tmp_path, png):
    half = Picture("filters", png, is_half=True)
    pictures = [Picture("curves", png), half._replace(caption="confusion"), Picture("mistakes", png), half]
    page = write(tmp_path, pictures=pictures, matrix=MATRIX, classes=["cat", "dog"])
    headings = ["curves", "History: the last 10 of 12 evaluations", "confusion", "Accuracy of each class"]
    headings += ["mistakes", "filters", "How it was trained"]
    assert [text for text in page.text if text in headings] == headings
    assert [figure.get("class") for figure in page.all("figure")] == ["wide", None, "wide", None]
    assert {"class": "stack"} in page.all("div")


def test_the_page_needs_no_other_resource(tmp_path, png):
    page = write(tmp_path, pictures=[Picture("curves", png, png)], facts={"source": "https://example.org/data"})
    assert not {"script", "link", "iframe", "object", "base", "a", "form"} & {tag for tag, _ in page.tags}
    addresses = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "srcset")]
    assert len(addresses) == 2
    assert all(address.startswith("data:") for address in addresses)
    style = re.search(r"<style>(.*)</style>", page.source, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_is_for_people_too(tmp_path, png):
    page = write(tmp_path, pictures=[Picture("curves", png)])
    assert page.source.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"main", "header", "section", "figure", "figcaption", "footer"} <= {tag for tag, _ in page.tags}
    assert len(page.all("h1")) == 1
    assert "prefers-color-scheme: dark" in page.source
    assert "@media print" in page.source
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


EVIL = "\"><script>alert(1)</script><img src=http://evil/ & '$title ${body}\udcff"


def test_everything_from_outside_is_escaped(tmp_path, png):
    page = write(
        tmp_path,
        title=EVIL,
        kicker=EVIL,
        numbers={EVIL: EVIL},
        facts={EVIL: EVIL},
        pictures=[Picture(EVIL, png, note=EVIL)],
        command=EVIL,
        history=[{EVIL: 1.0, **HISTORY[0]}],
        matrix=MATRIX,
        classes=[EVIL, "dog"],
        configuration={"out": "</code><script>"},
    )
    assert page.all("script") == []
    assert len(page.all("img")) == 1
    shown = EVIL.replace("\udcff", "?")
    assert page.text.count(shown) == 10  # kicker, heading, number, command, fact, each with its name; picture, class
    assert shown.replace("/", " ") in page.text  # a column of the history
    assert page.all("img")[0]["alt"] == shown


def test_the_history_shows_its_last_rows_and_gaps(tmp_path):
    page = write(
        tmp_path, history=[*HISTORY, {"step": 7000, "epoch": 13, "test/accuracy": None, "test/loss": float("nan")}]
    )
    text = "\n".join(page.text)
    assert "History: the last 10 of 13 evaluations" in text
    assert "epoch\nstep\ntrain loss\ntest loss\ntest accuracy\n4\n1 876\n0.08\n0.05\n98.75 %" in text
    assert "13\n7 000\n–\n–\n–" in text
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
    assert page.text[1 + len(headline)].startswith("History")


def test_a_run_without_evaluations(tmp_path):
    assert write(tmp_path, history=[]).text[:2] == ["lenet5 on mnist", "How it was trained"]


def test_a_class_without_examples(tmp_path):
    page = write(tmp_path, matrix=[[0, 0], [1, 3]], classes=["cat", "dog"])
    assert "cat\n0\n0\n–\n–\ndog\n4\n1\n75.00 %\ncat (1 ×)" in "\n".join(page.text)


def test_refusals_leave_the_old_page(tmp_path, png, monkeypatch):
    before = write(tmp_path).source
    for picture in (Picture("text", b"no picture"), Picture("text", png, b"no picture")):
        with pytest.raises(ValueError, match="the picture 'text' must be a PNG; received b'no pictu'"):
            write(tmp_path, pictures=[picture])
    with pytest.raises(ValueError, match=r"a row for each of 1 classes; received \(2, 2\)"):
        write(tmp_path, matrix=MATRIX, classes=["cat"])
    monkeypatch.setattr(atomic_files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, title="new")
    assert (tmp_path / "report.html").read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
