"""The shell around the core: a run is a folder.

| in the folder       | what it is                                                            |
| ------------------- | --------------------------------------------------------------------- |
| `config.json`       | the resolved configuration, versions, machine, command                |
| `metrics.jsonl`     | one line an evaluation                                                |
| `tensorboard/`      | the same for TensorBoard                                              |
| `checkpoints/`      | states, each whole or not there: safetensors and JSON, never pickle   |
| `.lock`               | held by the process that writes; a run has one writer                 |
| `*.png`             | curves, confusion matrix, first-layer filters, mistakes               |
| `report.html`       | all of it on one page that needs no network                           |

`train_in_folder` makes one; the modules `checkpoints`, `run_folder`, `loggers` and `signals` serve alone too.
"""

from jaxnn.runs.progress_bar import ProgressBar as ProgressBar
from jaxnn.runs.run_folder import check_new as check_new
from jaxnn.runs.run_folder import create as create
from jaxnn.runs.run_folder import default_path as default_path
from jaxnn.runs.run_folder import make_next as make_next
from jaxnn.runs.run_folder import read_config as read_config
from jaxnn.runs.run_lock import one_writer as one_writer
from jaxnn.runs.signals import graceful_stop as graceful_stop
