#!/usr/bin/env bash
# A sweep is a shell loop: every run is tracked, and `sslang ui` compares them.
set -euo pipefail
for temperature in 0.1 0.2 0.5; do
    sslang run specs/simclr.ssl temperature=$temperature length='10 epochs' --seed 0
done
sslang runs
