"""Wide heads end first, and what a table tells of a model is what its formulas say."""

import pytest
from experiment_files import load

from jaxnn.parallel import break_even

experiment = load("data_parallel_limits")
SETTINGS = experiment.Settings(machines=64)


def test_wide_heads_end_first():
    costs = {name: experiment.costs(model, SETTINGS) for name, model in experiment.MODELS.items()}
    ends = {name: break_even(of["strong"], of["sum"], most=SETTINGS.batch) for name, of in costs.items()}
    assert ends["AlexNet"] < ends["VGG-16"] < ends["ResNet-50"]


def test_a_row_tells_the_costs_of_its_model():
    of = experiment.costs(experiment.Published(25e6, 1e9), SETTINGS)
    assert of["weak"](7) == pytest.approx(32 * 6e9 / 1e14)
    assert of["strong"](8) == pytest.approx(8192 / 8 * 6e9 / 1e14)
    assert float(of["sum"](2)) == pytest.approx(1e8 / 25e9 + 2 * 10e-6)
    resnet = experiment.costs(experiment.MODELS["ResNet-50"], SETTINGS)
    name, megabytes, *_ = experiment.cells("ResNet-50", resnet, 8, SETTINGS)
    assert (name, megabytes) == ("ResNet-50", "102")
