"""Adapters convert models of other libraries to the form that the trainer takes.

Nothing else imports these modules; import the one you need:

from jaxnn.adapters.equinox_modules import EquinoxModel      (pip install "jaxnn[adapters]")
from jaxnn.adapters.nnx_modules import NnxModel              (comes with Flax)
"""
