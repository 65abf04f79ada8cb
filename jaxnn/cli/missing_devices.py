"""These functions explain a failure that has one reason: JAX has no device that it may use."""

import importlib
import sys

from jaxnn.naming import nearest_name, shown

PLATFORMS = ("cpu", "cuda", "gpu", "rocm", "tpu")


def check_devices() -> None:
    """Raises ValueError if JAX has no device that it may use; for a command that would first write or print."""
    importlib.import_module("jax")
    if (sentence := describe_missing_devices()) is not None:
        raise ValueError(sentence)


def describe_missing_devices() -> str | None:
    """Returns one sentence with the remedy if JAX has no device; None if it has one, or has not been imported.

    JAX looks for its devices when the first of them is needed, which may be anywhere in a command. Its own errors then
    have several types and speak of its internals. So after an error of any kind it is asked again here.
    """
    if "jax" not in sys.modules:
        return None
    import jax

    try:
        jax.devices()
        return None
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
    asked = jax.config.jax_platforms
    if not asked:
        return f"JAX finds no device ({reason}). Say JAX_PLATFORMS=cpu to train on the processor."
    words = [word.strip().lower() for word in asked.split(",")]
    meant = [nearest_name(word, PLATFORMS) for word in words if word not in PLATFORMS]
    hint = f" Did you mean {meant[0]!r}?" if meant and meant[0] else ""
    return (
        f"JAX_PLATFORMS must name devices that JAX can use here; received {shown(asked)}, and it finds none.{hint} "
        "Say JAX_PLATFORMS=cpu, or leave it out for what there is; a GPU needs JAX with CUDA: pip install 'jax[cuda12]'"
    )
