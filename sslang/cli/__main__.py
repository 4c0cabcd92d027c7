"""`python -m sslang.cli` is `sslang`."""

from sslang.cli.main import main

main(prog_name="sslang")
