"""All operators, and the mutants of a spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sslang.bench.mutations import dataflow, forms, words
from sslang.bench.mutations.mutant import Body, Change, Mutant, body, changes_text, mutant
from sslang.diagnostics import Source

Operator = Callable[[Body], Iterator[Change]]

OPERATORS: Mapping[str, Operator] = {
    "drop a stop_grad": dataflow.drop_stop_grad,
    "detach a term of the loss": dataflow.detach_loss_term,
    "apply the net, not its average": dataflow.average_to_online,
    "declare the net, not its average": dataflow.declare_no_average,
    "1 - m for the momentum m": dataflow.complement_momentum,
    "drop a write": dataflow.drop_write,
    "write twice": dataflow.duplicate_write,
    "exchange the target of a write": dataflow.swap_write_target,
    "exchange the weights of an average": dataflow.exchange_weights,
    "exchange a view": dataflow.exchange_view,
    "exchange a key": dataflow.exchange_key,
    "drop the condition of a sum": dataflow.drop_condition,
    "drop a `where`": dataflow.drop_where,
    "remove a head": forms.remove_head,
    "drop a `with`": forms.drop_with,
    "drop a term of the loss": forms.drop_loss_term,
    "remove a standard deviation": forms.remove_variance,
    "remove a centre": forms.remove_centre,
    "softmax for the Sinkhorn": forms.remove_sinkhorn,
    "drop an l2_normalize": forms.drop_normalize,
    "drop a temperature": forms.drop_temperature,
    "exchange two arguments": forms.swap_arguments,
    "transpose a side of a product": forms.drop_transpose,
    "exchange the sides of a product": forms.swap_product,
    "change an axis": forms.change_axis,
    "drop a negative sign": forms.drop_sign,
    "plus for minus": forms.minus_to_plus,
    "exchange epochs and steps": words.exchange_unit,
    "drop a unit": words.drop_unit,
    "bare arrow": words.bare_arrow,
    "misspell a name": words.misspell_name,
    "misspell a keyword": words.misspell_keyword,
    "misspell a word of the language": words.misspell_word,
    "forget a statement": words.drop_statement,
}


def mutants(path: Path, operators: Mapping[str, Operator] = OPERATORS) -> Iterator[Mutant]:
    """Every mutant of a spec: each operator at each place where it fits."""
    source = Source(path.as_posix(), path.read_text(encoding="utf-8"))
    parts = body(source)
    for name, operator in operators.items():
        changes = [c for c in dict.fromkeys(operator(parts)) if changes_text(source, c)]
        total = Counter(c.statement for c in changes)
        seen: Counter[str] = Counter()
        for change in changes:
            seen[change.statement] += 1
            which = f"/{seen[change.statement]}" if total[change.statement] > 1 else ""
            yield mutant(name, path.stem, f"{change.statement}{which}", source, change)
