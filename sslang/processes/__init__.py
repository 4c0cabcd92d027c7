"""Several processes that compute one step: who they are, what they send each other."""
