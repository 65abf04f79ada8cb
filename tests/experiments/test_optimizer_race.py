"""What its table and its findings say of a path is what became of it."""

import numpy as np
from experiment_files import load

from jaxnn.diagnostics import CONTESTANTS, SURFACES, judge

experiment = load("optimizer_race")


def test_a_cell_tells_what_became_of_a_path():
    surface = SURFACES["steep-shallow"]
    far, near = np.array(surface.start), np.array(surface.minimum)
    told = [experiment.told(judge(surface, np.array(path))) for path in ([far, near], [far, far / 2], [far, 9 * far])]
    assert told == ["1", "-", "x"]


def test_its_settings_name_contestants():
    settings = experiment.EXPERIMENT.settings_of("full")
    assert set(settings.trained) < set(settings.optimizers) == set(CONTESTANTS)
    assert 1.0 in settings.rate_scales
