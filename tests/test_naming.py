import pytest

from jaxnn.naming import unknown


def test_names_the_nearest_and_lists_all_in_order():
    error = unknown("model", "lenet6", ["resnet18", "lenet5", "alexnet"])
    assert isinstance(error, ValueError)
    assert str(error) == "unknown model 'lenet6'; did you mean 'lenet5'? Known: alexnet, lenet5, resnet18"


@pytest.mark.parametrize(("received", "nearest"), [("MNIST", "mnist"), ("vgg-16", "VGG16"), ("Adam", "adam")])
def test_case_does_not_matter(received, nearest):
    assert f"did you mean {nearest!r}?" in str(unknown("thing", received, ["mnist", "VGG16", "adam"]))


def test_says_nothing_of_a_nearest_where_none_is_near():
    assert str(unknown("loss", "zzz", ["hinge", "huber"])) == "unknown loss 'zzz'. Known: hinge, huber"


def test_accepts_any_iterable_and_a_name_of_the_wrong_type():
    assert str(unknown("loss", None, iter({"hinge": 1}))) == "unknown loss None. Known: hinge"


def test_is_returned_not_raised():
    with pytest.raises(ValueError, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        raise unknown("schedule", "cosin", ["cosine"])
