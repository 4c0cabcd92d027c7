"""Systematic mutation of the project's own specs: what proves the checker, and where it is blind.

    python -m sslang.bench.mutations

Every operator is applied at every place of every spec where it fits. A mutant is caught by the
checker, or is shown to compute the same thing, or is a legitimate other method, for a written
reason; what is left is a mistake that the checker misses.
"""
