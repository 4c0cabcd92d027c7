"""sslang inside a loop of one's own: own data, own logging, sslang's method and state.

python examples/own_loop.py
"""

from __future__ import annotations

from pathlib import Path

import torch

import sslang

SPEC = Path(__file__).parent / "barlow_twins.ssl"


def main(steps: int = 20) -> None:
    """Train on random pictures for a few steps, save, load, go on."""
    images = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8)
    program = sslang.load(SPEC, overrides=["batch = 64", f"length = {steps} steps"])
    learner = sslang.compile(program, images=len(images), seed=0)
    while learner.step < learner.total_steps:
        rows = torch.randint(0, len(images), (64,))
        report = learner.train_step(images[rows])
        if learner.step % 10 == 0:
            print(f"step {learner.step}: loss {float(report.loss):.4f}")
    torch.save(learner.state_dict(), "own_loop.pt")
    again = sslang.compile(program, images=len(images), seed=0)
    again.load_state_dict(torch.load("own_loop.pt", weights_only=True))
    Path("own_loop.pt").unlink()
    print(f"loaded at step {again.step}")


if __name__ == "__main__":
    main()
