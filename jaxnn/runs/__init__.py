"""Run folders keep a training on disk: its configuration, metrics, checkpoints, pictures and report.

This package does the input and output around the numerical core of jaxnn.

| in the folder       | what it is                                                                  |
| ------------------- | --------------------------------------------------------------------------- |
| `config.json`       | the resolved configuration, the versions, the machine and the command       |
| `extension.json`    | the epochs in all, if `jaxnn resume` was given more                         |
| `metrics.jsonl`     | one line for each evaluation                                                |
| `tensorboard/`      | the same metrics for TensorBoard                                            |
| `checkpoints/`      | states, each complete or absent: safetensors and JSON, never pickle         |
| `result.json`       | what a finished run measured once on the test data                          |
| `.lock`             | held by the process that writes; a run has one writer                       |
| `*.png`             | curves, confusion matrix, first-layer filters, mistakes                     |
| `report.html`       | the results on one page that needs no network                               |

`training_run.train_in_folder` trains a model in such a folder. The modules `checkpoints`, `run_folder`, `loggers` and
`signals` can also be used on their own.
"""

from jaxnn.runs.progress_bar import ProgressBar as ProgressBar
from jaxnn.runs.run_folder import check_new as check_new
from jaxnn.runs.run_folder import create as create
from jaxnn.runs.run_folder import default_path as default_path
from jaxnn.runs.run_folder import make_next as make_next
from jaxnn.runs.run_folder import read_config as read_config
from jaxnn.runs.run_lock import one_writer as one_writer
from jaxnn.runs.signals import graceful_stop as graceful_stop
