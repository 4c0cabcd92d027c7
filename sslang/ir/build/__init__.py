"""From a resolved spec to its graphs."""

from sslang.ir.build.build import Builder, build

__all__ = ["Builder", "build"]
