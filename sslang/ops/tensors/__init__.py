"""Primitives on tensors."""
