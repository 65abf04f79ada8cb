"""The picture of a run with deaths shows its servers and its kills."""

import numpy as np
import pytest
from experiment_files import load

plot_recoveries = load("recovery_plots").plot_recoveries


def test_every_server_is_a_line_and_every_kill_a_vertical_one():
    seconds, versions = np.arange(4.0), {"server 0": np.array([0, 9, np.nan, 5]), "server 1": np.array([0, 9, 12, 15])}
    (ax,) = plot_recoveries(seconds, versions, {"worker": [0.5, 2.0], "server": [1.5]}).axes
    for line, version in zip(ax.lines, versions.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), version)
    verticals = [[segment[0, 0] for segment in lines.get_segments()] for lines in ax.collections]
    assert verticals == [[0.5, 2.0], [1.5]]
    legend = {text.get_text() for text in ax.get_legend().get_texts()}
    assert legend == {"server 0", "server 1", "a worker killed (2)", "a server killed (1)"}


@pytest.mark.parametrize("versions", [{}, {"server 0": np.zeros(3)}])
def test_servers_must_have_a_version_for_every_second(versions):
    with pytest.raises(ValueError, match=r"`versions` must be \(points,\) like `seconds`; received"):
        plot_recoveries(np.arange(4.0), versions, {})
