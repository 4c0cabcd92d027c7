"""Nets in PyTorch: builders, batch norm by groups of rows, and the sequence of parts.

Importing this package loads no torch; its modules do.
"""
