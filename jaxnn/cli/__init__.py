"""The command line: parse, call, print. `jaxnn --help` imports no jax."""
