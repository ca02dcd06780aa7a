"""The version of this package. The build reads it here, and so does ``doorward.__version__``."""

__all__ = ["__version__"]

__version__ = "0.1.0"
