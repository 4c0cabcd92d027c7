"""A step computed in parts: over processes, and over micro-batches of each."""
