"""`starter.py N MEMBER-ARGUMENTS`: launches N members as `sslang run --processes N` does."""

from __future__ import annotations

import sys
from pathlib import Path

from sslang.processes.launch import Launch, launch
from tests.processes.member import tell

if __name__ == "__main__":
    member = str(Path(__file__).with_name("member.py"))
    count, *rest = sys.argv[1:]
    options = dict(zip(("nodes", "rendezvous"), rest[2:], strict=False))
    found = launch(
        Launch(
            (member, *rest[:2]),
            int(count),
            nodes=int(options.get("nodes", 1)),
            rendezvous=options.get("rendezvous", ""),
        )
    )
    tell(found)
    raise SystemExit(found.code)
