"""The one place that states the version of madrpc and of its wire protocol."""

__all__ = ["PROTOCOL_VERSION", "__version__"]

__version__ = "0.1.0"
PROTOCOL_VERSION = 1
