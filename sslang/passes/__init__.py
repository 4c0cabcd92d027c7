"""Passes over the graph: each a pure function in its own file; the pipeline is a tuple."""

from sslang.passes.pipeline import PIPELINE, Pass, optimise

__all__ = ["PIPELINE", "Pass", "optimise"]
