"""Models of other libraries, as the trainer takes them. Nothing else imports these modules; name the one you want:

from jaxnn.adapters.equinox_modules import EquinoxModel      (pip install "jaxnn[adapters]")
from jaxnn.adapters.nnx_modules import NnxModel              (comes with Flax)
"""
