"""sslang: a self-supervised vision method is its equations.

import sslang

program = sslang.load("specs/simclr.ssl")             # or raises sslang.DiagnosticError
learner = sslang.compile(program, images=len(images), seed=0, device="cuda")
for pixels in batches:                                # uint8 [B, 3, H, W]
    report = learner.train_step(pixels)               # views, loss, gradient, averages, states
torch.save(learner.state_dict(), "state.pt")
"""

from sslang.api import check, compile, load
from sslang.diagnostics import Diagnostic, DiagnosticError, render

__version__ = "0.1.0"

__all__ = ["Diagnostic", "DiagnosticError", "__version__", "check", "compile", "load", "render"]
