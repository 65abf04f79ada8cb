"""jaxnn is the deep-learning course as a fast, verified, functional toolkit in JAX.

There is one pure step, `(state, batch) -> (state, metrics)`, and everything else is a transformation of this step.
Subpackages are imported on first use, so that `import jaxnn` touches no device and takes almost no time:

>>> import jaxnn
>>> jaxnn.models.LeNet5.__name__
'LeNet5'
"""

import importlib

from jaxnn.version import __version__ as __version__

_SUBMODULES = (
    "activations",
    "asynchronous",
    "basis_functions",
    "data",
    "diagnostics",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "parallel",
    "parameter_paths",
    "parameter_server",
    "plots",
    "populations",
    "preprocessing",
    "regularizers",
    "runs",
    "schedules",
    "second_order",
    "training",
    "verification",
)


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"jaxnn.{name}")
    raise AttributeError(f"module 'jaxnn' has no attribute {name!r}; it has {', '.join(_SUBMODULES)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
