"""What can go wrong in a run, done to real ones: what was lost, and whether resuming mends it."""
