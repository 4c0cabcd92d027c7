"""From a resolved spec to its graphs."""

from sslang.ir.build.build import build

__all__ = ["build"]
