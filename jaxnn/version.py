"""Holds the version in one place; the build and `jaxnn --version` read it here."""

__version__ = "0.1.0"
