"""How a learning rate grows with the batch: once is a rule, twice is a slip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sslang.diagnostics import Diagnostic, Label
from sslang.model.resolve import Entry, Resolved
from sslang.syntax import tree
from sslang.syntax.rename import free_names

LEAST_BATCH = 16  # a number that is as large is no learning rate
_DEPTH = 200  # of expressions and the names in them; nothing that is written is so deep


def growth(resolved: Resolved) -> Iterator[Diagnostic]:
    """E517 for a learning rate that grows with the square of the batch, or falls with it."""
    for phase in resolved.phases():
        powers = _Powers(phase.namespace.entries)
        for name in ("optimizer", "groups"):
            entry = powers.entries.get(name)
            for call in _calls(entry.value) if entry is not None else ():
                yield from _of(call, powers)


def _calls(node: tree.Node) -> Iterator[tree.Call]:
    if isinstance(node, tree.Call):
        yield node
    for child in node.children():
        yield from _calls(child)


def _of(call: tree.Call, powers: _Powers) -> Iterator[Diagnostic]:
    for argument in call.arguments:
        if argument.name != "lr":
            continue
        power = powers.of(argument.value)
        if power < -0.01 and _names_a_batch(argument.value):
            message = "this learning rate is the smaller, the larger the batch is"
            yield Diagnostic("E517", message, argument.value.span,
                             hint="it grows with the batch: `0.1 * batch / 256`")  # fmt: skip
        elif power > 1.01:
            message = f"this learning rate grows with the batch to the power of {power:g}"
            labels = tuple(
                Label(entry.value.span, f"`{entry.name}` is scaled already")
                for entry in powers.scaled(argument.value)
            )
            yield Diagnostic("E517", message, argument.value.span, labels,
                             "scale it once: `0.1 * batch / 256`")  # fmt: skip


def _names_a_batch(node: tree.Node) -> bool:
    """Whether a batch stands there as a number: `256 / batch`. Of a loss that is a sum over the
    batch the rate is `0.1 / batch`."""
    own = isinstance(node, tree.Number) and node.value >= LEAST_BATCH
    return own or any(map(_names_a_batch, node.children()))


@dataclass
class _Powers:
    """The powers of `batch` that expressions grow with; of their parts, the highest."""

    entries: Mapping[str, Entry]
    known: dict[str, float] = field(default_factory=dict)
    depth: int = 0

    def of(self, node: tree.Node) -> float:
        if self.depth == _DEPTH:
            return 0.0
        self.depth += 1
        power = self._of(node)
        self.depth -= 1
        return power

    def _of(self, node: tree.Node) -> float:
        match node:
            case tree.Name("batch"):
                return 1.0
            case tree.Name(name):
                return self._named(name)
            case tree.Binary("*", left, right):
                return self.of(left) + self.of(right)
            case tree.Binary("/", left, right):
                return self.of(left) - self.of(right)
            case tree.Binary("**", left, tree.Number(power)):
                return self.of(left) * power
            case tree.Call(tree.Name("sqrt"), (argument,)):
                return self.of(argument.value) / 2
            case tree.Call(tree.Name("cosine" | "linear" | "piecewise"), arguments):
                values = (a.value for a in arguments if a.name in (None, "values"))
                return max(map(self.of, values), default=0.0)
            case tree.Arrow(start, tree.Number(0)):
                return self.of(start)
            case tree.Conditional(value, _, otherwise):
                return max(self.of(value), self.of(otherwise))
            case tree.Binary("<" | ">" | "<=" | ">=" | "==" | "!=", _, _):
                return 0.0
        return max(map(self.of, node.children()), default=0.0)

    def _named(self, name: str) -> float:
        entry = self.entries.get(name)
        if entry is None or entry.kind not in ("param", "binding"):
            return 0.0
        if name not in self.known:
            self.known[name] = 0.0  # what needs itself is told elsewhere
            self.known[name] = self.of(entry.value)
        return self.known[name]

    def scaled(self, node: tree.Node) -> list[Entry]:
        """The names of an expression that grow with the batch themselves."""
        names = sorted(free_names(node) - {"batch"})
        return [self.entries[n] for n in names if n in self.entries and self._named(n) > 0]
