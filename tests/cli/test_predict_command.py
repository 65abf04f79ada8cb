"""`jaxnn predict` with what people have: folders, patterns, pictures that are not as the training images."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from jaxnn.cli import inference_commands, prediction_output
from jaxnn.cli.main import main
from jaxnn.cli.predicted_pictures import find_pictures, write_sheet
from jaxnn.data.idx import read_idx
from jaxnn.data.sources import SOURCES


@pytest.fixture
def run(monkeypatch):
    """A run on MNIST that answers at once; tests/cli/test_command_line.py asks a real one."""
    kernel = np.random.default_rng(0).normal(0, 1e-3, (784, 10))

    def classify(images):
        scores = np.exp(images.reshape(len(images), 784) @ kernel)
        return scores / scores.sum(1, keepdims=True)

    classifier = inference_commands.Classifier(classify, (28, 28, 1), tuple("0123456789"), "dark")
    monkeypatch.setattr(inference_commands, "_classifier", lambda folder, config: classifier)
    return "run"


@pytest.fixture(scope="module")
def digits():
    return read_idx(SOURCES["mnist"].folder / "t10k-images-idx3-ubyte.gz")[:3]


@pytest.fixture
def folder(digits, tmp_path):
    """Three digits, black on white as screenshots, beside a text and a folder."""
    folder = tmp_path / "digits"
    (folder / "older").mkdir(parents=True)
    (folder / "notes.png").write_text("Python")
    for name, digit in zip(("a.png", "b.png", "c"), digits, strict=True):
        Image.fromarray(255 - digit).convert("RGBA").save(folder / name, "PNG")
    return folder


def test_a_folder_and_a_pattern_mean_their_pictures(run, folder, digits, tmp_path, capsys):
    """The answers alone are on stdout, in three forms that agree; what was skipped and inverted is on stderr."""
    sheet = tmp_path / "prepared.png"
    asked = ["predict", run, str(folder), "--top", "2"]
    assert main([*asked, "--csv", "--show", str(sheet)]) == 0
    out, said = capsys.readouterr()
    table = list(csv.DictReader(io.StringIO(out)))
    names = [str(folder / name) for name in ("a.png", "b.png", "c") for _ in range(2)]
    assert [row["image"] for row in table] == names
    assert [row["rank"] for row in table] == ["1", "2"] * 3
    assert "skipped what is no picture, notes.png, older.\n" in said
    assert "a.png (and 2 more pictures, each) has a light ground" in said
    assert main([*asked[:2], str(folder / "[ab].*"), *asked[3:], "--json", "--show", str(sheet)]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[*one["classes"]] for one in answers] == [[row["class"] for row in table[k : k + 2]] for k in (0, 2)]
    said = [p for one in answers for p in one["classes"].values()]
    np.testing.assert_allclose(said, [float(row["probability"]) for row in table[:4]], atol=1e-5)
    assert main(["predict", run, "--invert", str(folder / "a.png"), str(folder / "b.png"), "--top", "1"]) == 0
    out, said = capsys.readouterr()
    assert said == ""
    assert [line.split() for line in out.splitlines()] == [
        [str(folder / name), row["class"], f"{100 * float(row['probability']):.1f}", "%"]
        for name, row in zip(("a.png", "b.png"), table[::2], strict=False)
    ]
    shown = np.asarray(Image.open(sheet))[1:-1:10, 1:-1:10]
    assert shown.shape == (28, 57)
    assert shown[:, :28].tolist() == digits[0].tolist()


def test_a_large_photograph_is_prepared_as_mnist(run, digits, tmp_path, capsys):
    sheet = np.full((200, 300), 240, np.uint8)
    ink = np.asarray(Image.fromarray(digits[0]).resize((140, 140))) * 0.75
    sheet[20:160, 100:240] -= ink.astype(np.uint8)
    Image.fromarray(sheet).save(tmp_path / "photo.jpg")
    shown = tmp_path / "prepared.png"
    asked = ["predict", run, str(tmp_path / "photo.jpg"), "--prepare", "mnist", "--json", "--show", str(shown)]
    assert main(asked) == 0
    seen = np.asarray(Image.open(shown))[1:-1:10, 1:-1:10]
    assert np.abs(seen.astype(int) - digits[0]).mean() < 15


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing*.png"], "no file matches"),
        (["empty"], "a folder without a picture"),
        (["clear.png"], "--background white"),
        (["clear.png", "--background", "wite"], "--background must be a colour"),
        (["deep.tif"], "--levels 0:4095"),
        (["deep.tif", "--levels", "4095"], "--levels must be BLACK:WHITE"),
        (["deep.tif", "--levels", "a:b"], "--levels must be BLACK:WHITE"),
        (["deep.tif", "--levels", "1:1"], "--levels must be black and white"),
        (["clear.png", "--json", "--csv"], "--json must not stand beside --csv"),
        (["clear.png", "--resize", "--prepare", "mnist"], "--resize changes nothing"),
        (["clear.png", "--prepare", "minst"], "did you mean 'mnist'"),
        (["clear.png", "--invert", "--no-invert"], "--invert must stand once"),
        (["clear.png", "--show", "clear.png"], "is another file"),
        (["clear.png", "--show", "answers.jpg"], "Let it end in .png"),
        (["clear.png", "--background", "red", "--show", "nowhere/a.png"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(run, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.new("RGBA", (28, 28), (255, 0, 0, 128)).save("clear.png")
    Image.fromarray(np.full((28, 28), 4000, np.uint16)).save("deep.tif")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    assert main(["predict", run, *words]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert message in said
    assert said.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_a_file_with_the_signs_of_a_pattern_is_that_file(tmp_path):
    for name in ("[1].png", "1.png"):
        (tmp_path / name).touch()
    assert find_pictures([str(tmp_path / "[1].png")], print) == [str(tmp_path / "[1].png")]
    (tmp_path / "[1].png").unlink()
    assert find_pictures([str(tmp_path / "[1].png")], print) == [str(tmp_path / "1.png")]


def test_a_sheet_of_many_pictures_is_bounded_and_replaces_only_a_sheet(tmp_path):
    path = str(tmp_path / "sheet.PNG")
    write_sheet(path, np.zeros((1000, 32, 32, 3), np.uint8))
    write_sheet(path, np.zeros((7, 28, 28, 1), np.uint8))
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 282, 3 * 282)
        sheet.save(tmp_path / "mine.png")
    with pytest.raises(ValueError, match="is another file"):
        write_sheet(str(tmp_path / "mine.png"), np.zeros((1, 28, 28, 1), np.uint8))


def test_probabilities_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        prediction_output.rank([[0.5, np.nan]], "ab", 1, run="runs/1")


def test_names_of_any_characters_stay_on_their_line(capsys):
    hints = prediction_output.Hints()
    hints.of("a\nb\x1b[31m.png", "is blank.")
    hints.print()
    prediction_output.print_text(["a\nb.png", "c.png"], [[("cat", 1.0)], [("horse", 0.5)]])
    out, said = capsys.readouterr()
    assert said == "'a\\nb\\x1b[31m.png' is blank.\n"
    assert out == "'a\\nb.png'     cat 100.0 %\nc.png        horse  50.0 %\n"


def test_words_alone_are_refused_in_words(capsys):
    """No words at all, an escape sequence, and a long word."""
    for args in (
        ["predict"],
        *(["predict", "run", "image.png", "--invert", word] for word in ("\x1b[31mx", "a" * 5000)),
    ):
        assert main(["predict", *args]) == 2
        said = capsys.readouterr().err
        assert said.startswith("jaxnn: ")
        assert "zip" not in said
        assert said.rstrip("\n").isprintable()
        assert len(said) < 300
