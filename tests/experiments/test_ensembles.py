"""Its populations differ as they should, and its table has the rows of powers of two."""

import numpy as np
from experiment_files import load

from jaxnn import populations

experiment = load("ensembles")


def test_seeds_and_bootstraps_are_a_populations_own():
    settings = experiment.Settings(members=3, train_examples=40)
    first, second = (experiment.populations_of(settings, seed) for seed in range(2))
    seeds = [member.seed for population in (first, second) for member in population["same images"]]
    assert len(set(seeds)) == 6
    drawn = [member.split.train for population in (first, second) for member in population["bootstraps"]]
    assert len({tuple(np.asarray(rows).tolist()) for rows in drawn}) == 6


def test_a_row_for_every_power_of_two_and_for_all():
    errors = populations.EnsembleErrors(np.arange(1, 7), *np.full((2, 6, 2), 0.1), np.full(6, 0.2))
    rows = list(experiment.rows({"same images": errors, "bootstraps": errors}, 6))
    assert [row[0] for row in rows] == ["1", "2", "4", "6"]
    assert set(rows[0][1:]) == {"10.00"}
