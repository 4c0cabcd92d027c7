"""Benchmarks: a spec's step beside a hand-written loop and beside the bare step, interleaved."""
