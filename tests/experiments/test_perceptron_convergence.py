"""Its data are as far from the line as they should be, and its gates end as the theorems say."""

import numpy as np
from experiment_files import load

experiment = load("perceptron_convergence")


def test_its_data_keep_their_margin():
    x, t = experiment.separable(0, 0.1, 50)
    b, *direction = experiment.LINE
    assert len(x) == 50
    assert np.isclose(np.linalg.norm(direction), 1)  # so that the distance is one
    assert (t * (b + x @ direction) > 0.1).all()
    assert set(t) == {-1, 1}


def test_xor_goes_on_and_gates_that_a_line_separates_end():
    mistakes = {name: experiment.gate_mistakes(np.array(t), 12) for name, t in experiment.GATES.items()}
    assert mistakes["XOR"].tolist() == [4] * 12  # each epoch ends where it began
    assert mistakes["AND"][-1] == mistakes["OR"][-1] == 0
    assert sum(mistakes["AND"]) == 18  # as in the docstring of `train_perceptron`
