"""Passes over the graph: each a pure function in its own file; the pipeline is a tuple."""

from sslang.passes.pipeline import PIPELINE, Pass, default_passes, optimise, passes_named

__all__ = ["PIPELINE", "Pass", "default_passes", "optimise", "passes_named"]
