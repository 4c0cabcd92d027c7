"""Random syntax trees for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sslang.diagnostics import Source, Span
from sslang.syntax import tree

SPAN = Span(Source("none", ""), 0, 0)
_NAMES = st.sampled_from(
    ("a", "b", "loss", "B", "D", "x_1", "epochs", "step", "none", "mean", "e5")
)
_UNITS = st.sampled_from(["epochs", "steps"])
_WORDS = st.text(
    st.characters(blacklist_characters='"\n\r', blacklist_categories=["Cs"]), max_size=6
)
_BINARY = st.sampled_from(
    ["|", "or", "and", "++", "+", "-", "*", "/", "%", "@", "**", "==", "!=", "<", ">", "<=", ">="]
)


def _make(kind: Any, *parts: Any, **named: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, *parts, span=st.just(SPAN), **named)


def _tuple(items: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


_numbers = st.one_of(
    st.integers(0, 10**15 - 1),
    st.integers(1, 10**9).map(lambda n: n / 10**6),
    st.sampled_from([0.0, 1e30, 1e-30, 1e20, 0.1, 1e-7, 123456.0]),
)
_atoms = st.one_of(
    _make(tree.Number, _numbers), _make(tree.Text, _WORDS), _make(tree.Name, _NAMES)
)  # fmt: skip


def _arguments(values: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    generators = _tuple(_make(tree.Generator, _NAMES, values), 1, 2)
    comprehension = _make(tree.Comprehension, values, generators, st.none() | values)
    return _tuple(
        st.one_of(
            _make(tree.Argument, values),
            _make(tree.Argument, values, _NAMES | st.just("from")),
            _make(tree.Argument, comprehension),
        ),
        least,
    )


def _subscripts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    slices = _make(tree.Slice, st.none() | values, st.none() | values)
    return _tuple(st.one_of(values, slices, _make(tree.Ellipsis_)), 1)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _make(tree.ListOf, _tuple(inner)),
        _make(tree.Quantity, inner, _UNITS),
        _make(tree.Attribute, inner, _NAMES),
        _make(tree.Index, inner, _subscripts(inner)),
        _make(tree.Unary, st.sampled_from(["-", "not"]), inner),
        _make(tree.Binary, _BINARY, inner, inner),
        _make(tree.Range, inner, inner),
        _make(tree.Arrow, inner, inner),
        _make(tree.Then, inner, inner),
        _make(tree.Conditional, inner, inner, inner),
        _make(tree.Call, inner, _arguments(inner)),
        _make(tree.With, inner, _arguments(inner, 1)),
        _make(tree.On, inner, inner),
    )


expressions = st.recursive(_atoms, _larger, max_leaves=12)

_over = _make(tree.Over, _NAMES, expressions)
_targets = _make(tree.Target, _NAMES, _tuple(_over | expressions, most=2))
_bindings = _make(tree.Binding, _targets, expressions)
_patterns = _make(
    tree.Pattern,
    st.none() | st.just("index"),
    _tuple(expressions | _make(tree.Ellipsis_)),
    st.none() | expressions,
)
_parameters = _make(tree.Parameter, _NAMES, st.none() | _patterns, st.none() | expressions)
_block = _make(tree.Block, _tuple(_bindings | _make(tree.Return, expressions)))
_kinds = st.sampled_from(
    ["param", "view", "encoder", "head", "branch", "weight", "queue", "bank", "state"]
)

statements = st.one_of(
    _bindings,
    _make(tree.Write, _targets, expressions),
    _make(tree.Declaration, _kinds, _tuple(_targets, 1), expressions),
    _make(tree.Function, _NAMES, _tuple(_parameters), _block | expressions),
    _make(tree.Recipe, _NAMES, _tuple(_NAMES), _make(tree.Block, _tuple(
        _bindings | _make(tree.Nested, _NAMES, _block)))),
    _make(tree.Phase, _NAMES, _block),
    _make(tree.Method, _WORDS, _arguments(expressions)),
    _make(tree.Use, _tuple(_NAMES, 1), _WORDS),
    _make(tree.Assume, _NAMES, _WORDS),
)  # fmt: skip
files = _make(tree.File, _tuple(statements, most=4))
