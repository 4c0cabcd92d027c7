"""`python -m sslang` is `sslang`: `torchrun -m sslang run SPEC`."""

from sslang.cli.main import main

main(prog_name="sslang")
