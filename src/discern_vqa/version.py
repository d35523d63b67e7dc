"""The version of this package, on the ground floor: pages and cards state it, and the build reads it."""

__version__ = "0.2.0"
