"""Checks of a program beyond its types: gradient flow, batch facts, unused names."""

from sslang.checks.check import check_file, check_program

__all__ = ["check_file", "check_program"]
