"""How good are the features: kNN, a linear probe, collapse measures, paired bootstrap."""
