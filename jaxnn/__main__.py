"""Runs the command `jaxnn` when Python is called as `python -m jaxnn`."""

import sys

from jaxnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
