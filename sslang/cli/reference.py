"""Reference pages of every name of the language, made from its declaration."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from sslang.cli import view_page
from sslang.cli.keywords import KEYWORDS
from sslang.cli.view_page import shown
from sslang.ir.build.accept import hints
from sslang.ir.build.specials import SPECIALS
from sslang.model.recipe import WORDS, Recipe, Word
from sslang.model.resolve import Prelude, prelude
from sslang.ops import PRIMITIVES, Primitive
from sslang.ops.signs import PRIMITIVE, UNNAMED
from sslang.syntax import tree
from sslang.syntax.printer import show

_KINDS = {
    "tensor": "operation on tensors",
    "view": "view operation",
    "net": "net",
    "initialiser": "initialiser of a state",
}


@dataclass(frozen=True)
class Page:
    """What a name is, how it is called, what it does, where it is declared."""

    kind: str
    signature: str
    body: str
    declared: str
    group: str = ""  # of a view op: its file

    @property
    def heading(self) -> str:
        """What the page stands under in the list of all."""
        return f"{self.kind}s: {self.group}" if self.group else self.kind

    @property
    def summary(self) -> str:
        paragraph = self.body.strip().split("\n\n")[0].replace("\n", " ")
        return re.split(r"\.\s+(?=[A-Z`])", paragraph)[0].rstrip(".") + "."

    def text(self) -> str:
        return f"{self.signature}    ({self.kind}; {self.declared})\n\n{self.body.strip()}"


def pages() -> dict[str, Page]:
    """Every page, by name."""
    found = {name: _primitive(p) for name, p in PRIMITIVES.items() if name not in UNNAMED}
    found |= {_sign(name): _operator(_sign(name), PRIMITIVES[name]) for name in sorted(UNNAMED)
              if _sign(name)}  # fmt: skip
    for name, form in SPECIALS.items():
        signature = f"{name}({', '.join(form.parameters)})"
        page = Page("form of the language", signature, form.doc, "sslang")
        found[name] = page if name not in found else _both(found[name], page)
    for name, model in WORDS.items():
        page = _word(name, model)
        found[name] = page
    for name, (signature, body) in KEYWORDS.items():
        found[name] = Page("word of the language", signature, body, "sslang")
    for name, info in Recipe.model_fields.items():
        page = Page("field of a recipe", f"{name} = ...", info.description or "", Recipe.__module__)
        found[name] = page if name not in found else _both(found[name], page)
    found["recipe"] = _both(found["recipe"], _recipe())
    for name, page in _prelude(prelude()).items():
        found[name] = page
    return found


def _both(first: Page, second: Page) -> Page:
    body = f"{first.body}\n\n{second.signature}    ({second.kind})\n\n{second.body}"
    return Page(first.kind, first.signature, body, first.declared, first.group)


def _sign(name: str) -> str:
    return next((sign for sign, primitive in PRIMITIVE.items() if primitive == name), "")


def _operator(sign: str, primitive: Primitive) -> Page:
    return Page("operator", f"a {sign} b", primitive.doc, _place(primitive))


def _place(primitive: Primitive) -> str:
    return primitive.rule.__module__


def _primitive(primitive: Primitive) -> Page:
    parts = []
    for name, parameter in primitive.signature.parameters.items():
        if primitive.kind in ("view", "net") and name in primitive.inputs:
            continue
        part = name
        hint = hints(primitive)[name]
        if name not in primitive.inputs and isinstance(hint, type):
            part += f": {hint.__name__}"
        if parameter.default is not inspect.Parameter.empty:
            part += f" = {shown(parameter.default)}"
        parts.append(part)
    kind, signature = _KINDS[primitive.kind], f"{primitive.name}({', '.join(parts)})"
    if primitive.kind != "view":
        return Page(kind, signature, primitive.doc, _place(primitive))
    body = f"{primitive.doc}\n\n{view_page.facts(primitive)}"
    return Page(kind, signature, body, _place(primitive), primitive.group)


def _word(name: str, model: type[Word]) -> Page:
    fields = model.model_fields
    parts, lines = [], [inspect.getdoc(model) or "", ""]
    for field, info in fields.items():
        parts.append(field if info.is_required() else f"{field} = {shown(info.default)}")
        if info.description:
            lines.append(f"  {field}: {info.description}")
    kind = f"word of recipes: {model.role}"
    return Page(kind, f"{name}({', '.join(parts)})", "\n".join(lines), model.__module__)


def _recipe() -> Page:
    lines = [inspect.getdoc(Recipe) or "", ""]
    for field, info in Recipe.model_fields.items():
        need = "" if info.is_required() else f" (default {info.default})"
        lines.append(f"  {field}: {info.description}{need}")
    return Page("declaration", "recipe NAME : BASE { ... }", "\n".join(lines), Recipe.__module__)


def _prelude(library: Prelude) -> dict[str, Page]:
    """Functions and recipes of the standard library, with the comment above each."""
    found = {}
    for entry in library.namespace.functions():
        node = entry.value
        if isinstance(node, tree.Function):
            head = show(tree.Function(node.name, node.parameters, tree.Name("_", span=node.span),
                                      span=node.span)).removesuffix(" = _")  # fmt: skip
            body = f"{_comment_above(node)}\n\n{node.span.text}"
            kind, signature = "function of the standard library", head.removeprefix("fn ")
            found[node.name] = Page(kind, signature, body, node.span.source.name)
    for name, recipe in library.recipes.items():
        body = f"{_comment_above(recipe)}\n\n{recipe.span.text}"
        found[name] = Page("recipe of the standard library", f"recipe {name}", body,
                           recipe.span.source.name)  # fmt: skip
    return found


def _comment_above(node: tree.Node) -> str:
    """The comment lines directly above a declaration (or above the run it stands in)."""
    source = node.span.source
    number = node.span.line - 1
    while number > 0 and source.line(number).strip() and not source.line(number).startswith("#"):
        number -= 1
    lines: list[str] = []
    while number > 0 and source.line(number).startswith("#"):
        lines.insert(0, source.line(number).lstrip("# "))
        number -= 1
    return "\n".join(lines)
