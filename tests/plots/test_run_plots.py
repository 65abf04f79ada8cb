"""Pictures: what stands in them, not how they look."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from jaxnn.plots import plot_confusion, plot_curves, plot_filters, plot_mistakes, save_figure

CLASSES = tuple("0123456789")


def history(n):
    return [
        {
            "step": 10 * i,
            "epoch": i,
            "train/loss": 1 / i,
            "test/loss": 2 / i,
            "train/accuracy": 0.5,
            "test/accuracy": 0.4,
        }
        for i in range(1, n + 1)
    ]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def mistakes(n=50, wrong=40, channels=1):
    images = np.random.default_rng(0).integers(0, 256, (n, 8, 8, channels), np.uint8)
    labels, predicted = np.full(n, 4), np.where(np.arange(n) < wrong, 9, 4)
    return images, labels, predicted, np.linspace(0.5, 0.98, n)


def test_curves_have_two_labelled_panels():
    loss, accuracy = plot_curves(history(5)).axes
    assert (loss.get_title(), loss.get_xlabel(), loss.get_ylabel()) == ("Loss", "epoch", "mean loss per example")
    assert accuracy.get_title() == "Best on test: 40.00 % (epoch 1)"
    for axes in (loss, accuracy):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "test"]
        assert axes.lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert loss.lines[1].get_ydata().tolist() == [2 / i for i in range(1, 6)]


def test_narrow_pictures_hold_the_same_and_are_no_wider_than_a_telephone():
    curves, confusion = (
        plot_curves(history(5), narrow=True),
        plot_confusion(np.eye(10, dtype=int), CLASSES, narrow=True),
    )
    assert [axes.get_title() for axes in curves.axes] == ["Loss", "Best on test: 40.00 % (epoch 1)"]
    assert [texts(axes) for axes in confusion.axes] == [["1"] * 10]  # without the scale of the colours
    grid = plot_mistakes(*mistakes(), CLASSES, narrow=True)
    assert [len(axes.images) for axes in grid.axes] == [1] * 18
    assert grid._suptitle.get_text() == "40 mistakes in 50 images: the 18 most confident"
    assert max(figure.get_figwidth() for figure in (curves, confusion, grid)) < 5


@pytest.mark.parametrize(("evaluations", "marker"), [(1, "o"), (30, "o"), (200, "")])
def test_points_are_marked_while_there_are_few(evaluations, marker, tmp_path):
    figure = plot_curves(history(evaluations))
    assert figure.axes[0].lines[1].get_marker() == marker
    save_figure(figure, tmp_path / "curves.png")


def test_the_best_evaluation_is_ringed():
    rows = [{"test/accuracy": value} for value in (0.5, 0.75, float("nan"), 0.6)]
    (axes,) = plot_curves(rows).axes
    assert axes.get_title() == "Best on test: 75.00 % (epoch 2)"
    assert (axes.lines[-1].get_xdata()[0], axes.lines[-1].get_ydata()[0]) == (2, 0.75)


@pytest.mark.parametrize(("last", "scale"), [(0.5, "linear"), (0.01, "log"), (0.0, "linear")])
def test_a_loss_that_falls_by_decades_is_on_a_logarithmic_axis(last, scale):
    (axes,) = plot_curves([{"test/loss": 1.0}, {"test/loss": float("nan")}, {"test/loss": last}]).axes
    assert axes.get_yscale() == scale


@pytest.mark.parametrize("rows", [[], [{"step": 3}]])
def test_a_history_without_curves_is_refused(rows):
    with pytest.raises(ValueError, match="`history` must have rows"):
        plot_curves(rows)


def test_confusion_writes_every_count_once_and_no_zero():
    matrix = np.diag(np.arange(980, 990)) + np.eye(10, k=1, dtype=int) * 3
    axes, bar = plot_confusion(matrix, CLASSES).axes
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert written == {(i, j): str(matrix[i, j]) for i, j in np.argwhere(matrix)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASSES)
    assert axes.get_title() == "99.73 % of 9 872 correct"
    assert bar.get_ylabel() == "share of the true class"


def test_rare_confusions_can_be_seen_and_read():
    matrix = np.array([[999, 1], [10, 990]])
    axes = plot_confusion(matrix, ["no", "yes"]).axes[0]
    picture = axes.images[0]
    brightness = picture.cmap(picture.norm(picture.get_array()))[..., :3].mean(axis=-1)
    assert brightness[1, 0] < brightness[0, 1] < 1
    assert brightness[1, 0] < 0.85  # one in a hundred
    assert brightness[1, 0] - brightness[1, 1] > 0.3
    for text in axes.texts:
        column, row = map(round, text.get_position())
        assert (text.get_color() == "white") == (brightness[row, column] < 0.5)


def test_confusion_of_many_classes_has_no_counts_and_few_labels():
    axes = plot_confusion(np.eye(100, dtype=int), [f"class {i}" for i in range(100)]).axes[0]
    assert texts(axes) == []
    assert len(axes.get_xticks()) == 25


def test_confusion_of_an_absent_class():
    assert texts(plot_confusion([[0, 0], [0, 5]], ["a", "b"]).axes[0]) == ["5"]
    assert plot_confusion([[0, 0], [0, 0]], ["a", "b"]).axes[0].get_title() == "0.00 % of 0 correct"


def test_confusion_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"a row for each of 10 classes; received \(3, 3\)"):
        plot_confusion(np.eye(3), CLASSES)


def test_grey_filters_share_one_symmetric_scale():
    kernel = np.random.default_rng(0).normal(size=(5, 5, 1, 6))
    *filters, bar = plot_filters(kernel).axes
    shown = [axes for axes in filters if axes.images]
    largest = float(np.abs(kernel.astype(np.float32)).max())
    assert [axes.get_title() for axes in shown] == list("123456")
    assert {axes.images[0].get_clim() for axes in shown} == {shown[0].images[0].get_clim()}
    assert shown[0].images[0].get_clim() == (-largest, largest)
    np.testing.assert_allclose(shown[3].images[0].get_array(), kernel[:, :, 0, 3], rtol=1e-6)
    assert bar.get_ylabel() == "weight"


def test_colour_filters_are_pictures_in_which_zero_is_grey():
    kernel = np.zeros((3, 3, 3, 4))
    kernel[0, 0, 0, 0], kernel[0, 0, 1, 0] = 2.0, -2.0
    first, *rest = plot_filters(kernel).axes
    assert len(rest) == 3
    assert first.images[0].get_array()[0, 0].tolist() == [1.0, 0.0, 0.5]


def test_dense_filters_take_the_shape_of_the_image_and_the_first_are_shown():
    kernel = np.random.default_rng(0).normal(size=(28 * 14, 100)).astype(np.float32)
    figure = plot_filters(kernel, image_shape=(28, 14, 1))
    assert figure.get_suptitle() == "64 of 100 filters, 28 x 14"
    np.testing.assert_array_equal(figure.axes[63].images[0].get_array(), kernel[:, 63].reshape(28, 14))


@pytest.mark.parametrize(
    ("shape", "image_shape"), [((5, 5, 6, 16), None), ((784, 10), None), ((784, 10), (32, 32, 1)), ((5,), None)]
)
def test_kernels_that_see_no_image_are_refused(shape, image_shape):
    with pytest.raises(ValueError, match="`kernel` must have shape"):
        plot_filters(np.zeros(shape), image_shape=image_shape)


def test_filters_that_are_all_zero(tmp_path):
    save_figure(plot_filters(np.zeros((5, 5, 1, 1))), tmp_path / "filters.png")


def test_mistakes_are_the_most_confident_ones_first():
    images, labels, predicted, confidence = mistakes()
    figure = plot_mistakes(images, labels, predicted, confidence, CLASSES)
    assert figure.get_suptitle() == "40 mistakes in 50 images: the 32 most confident"
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"true 4,\nsaid 9 ({confidence[i]:.2f})" for i in range(39, 7, -1)]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[39, :, :, 0])


def test_mistakes_in_colour_and_with_long_names():
    images, labels, predicted, confidence = mistakes(n=3, wrong=2, channels=3)
    names = ["a"] * 4 + ["$money$", *"bcde", "hippopotamus amphibius"]
    figure = plot_mistakes(images, labels, predicted, confidence, names)
    assert figure.axes[0].get_title() == "true \\$money\\$,\nsaid hippopotamu…\n(0.74)"
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)
    assert len(figure.axes) == 2


def test_no_mistakes(tmp_path):
    figure = plot_mistakes(*mistakes(wrong=0), CLASSES)
    assert [text.get_text() for text in figure.texts] == ["no mistake in 50 images"]
    save_figure(figure, tmp_path / "mistakes.png")


def test_arrays_of_different_lengths_are_refused():
    images, labels, predicted, confidence = mistakes()
    with pytest.raises(ValueError, match="one length"):
        plot_mistakes(images, labels[:5], predicted, confidence, CLASSES)


def test_a_saved_figure_is_a_whole_png_on_white(tmp_path):
    path = save_figure(plot_curves(history(3)), tmp_path / "curves.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.getpixel((0, 0))[:3]) == ("PNG", (255, 255, 255))


def test_a_failed_rename_leaves_the_old_picture_and_nothing_else(tmp_path):
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(OSError, match=r"curves\.png"):
        save_figure(plot_curves(history(1)), tmp_path / "curves.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_the_users_style_is_neither_used_nor_changed():
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 40}):
        figure = plot_curves(history(2))
        assert matplotlib.rcParams["font.size"] == 40
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.axes[0].xaxis.label.get_size() == 12


def test_matplotlib_waits_for_the_first_picture_and_pyplot_for_ever():
    code = (
        "import sys, jaxnn.plots as d; assert 'matplotlib' not in sys.modules; "
        "d.plot_curves([{'test/loss': 1.0}]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_notebook_shows_a_figure_as_a_picture():
    png, shown = plot_curves(history(1))._repr_png_()
    assert png[:4] == b"\x89PNG"
    assert shown == {"width": 896, "height": 336}  # 11.2 x 4.2 inches
