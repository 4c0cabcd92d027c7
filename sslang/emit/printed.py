"""Generated code as a person reads it."""

from __future__ import annotations

import re

from sslang.emit.graph import Emitted
from sslang.emit.view_draws import GATED
from sslang.ops import PRIMITIVES


def printed(emitted: Emitted) -> str:
    """The code of an emitted graph as a person reads it: no clean-up of names, short paths."""
    code = emitted.module.code.strip()
    code = re.sub(r";  [\w ,=]+ = None$", "", code, flags=re.MULTILINE)
    views = [p for p in PRIMITIVES.values() if p.kind == "view"]
    named = {path.rpartition(".")[2] for p in views for path in (p.lowering, p.fused, GATED)} - {""}
    code = re.sub(rf"\bsslang_emit_augmentations_(?=({'|'.join(named)})\()", "kornia.", code)
    code = re.sub(rf"\bsslang_emit_views_by_kornia_(?=({'|'.join(named)})\()", "kornia.", code)
    code = re.sub(rf"\bsslang_emit_views_\w+?_(?=({'|'.join(named)})\()", "views.", code)
    code = re.sub(r"\bsslang_emit_tensors_", "tensors.", code)
    return code.rstrip() + "\n"
