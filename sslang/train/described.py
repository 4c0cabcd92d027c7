"""How a run is described to those who compare it: its name, its parameters, its data, its page.

All of it is made of the program, of the options and of what was measured; the record of the run
keeps it, and `sslang.track` copies it to MLflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from sslang.data.source import Source
from sslang.ir.program import Program
from sslang.model.recipe import Word
from sslang.ops.schedules import Schedule, ends_of
from sslang.track.run_folder import DataSet, Result, RunRecord
from sslang.track.store import clean_text
from sslang.train.data import Data
from sslang.train.options import RunOptions

_NAME = 100  # characters of a run's name
_OVERRIDE = 40  # and of what it says of one override
_OPTIONS = ("precision", "compile", "micro_batch", "shard")  # those that bear on the numbers


def parameters(program: Program, options: RunOptions) -> dict[str, object]:
    """Return what a run is a function of, by dotted names, numbers where they can be.

    What a later phase has otherwise stands under the name of that phase. Of options, and of the
    numbers of an optimizer, there is what was asked for: defaults would crowd a comparison.
    """
    found = _shared({phase.phase: dict(_of_phase(phase)) for phase in program.phases})
    found["seed"] = options.seed
    for name in _OPTIONS:
        value = getattr(options, name)
        if value != getattr(RunOptions, name):
            found[name] = value
    if not options.processes.alone:
        found["processes"] = options.processes.count
    return found


def _shared(phases: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return the parameters of the phases: of a later one, under its name, what differs."""
    found: dict[str, object] = {}
    for phase, given in phases.items():
        for name, value in given.items():
            if name not in found:
                found[name] = value
            elif str(value) != str(found[name]):
                found[f"{phase}.{name}"] = value
    return found


def _of_phase(program: Program) -> Iterator[tuple[str, object]]:
    """Return what is written in the spec; of nets and words of the recipe the numbers, too."""
    spec = program.spec
    yield from spec.settings.items()
    yield from ((f"assume.{name}", reason) for name, reason in spec.assumes)
    for plan in program.nets:
        if plan.kind == "encoder":
            path, arguments = plan.stages[0]
            yield f"{plan.name}.architecture", path.rpartition(".")[2]
            yield from _numbers(plan.name, arguments)
    for name in spec.settings:
        value = getattr(spec.recipe, name, None)
        if isinstance(value, Word):
            yield f"{name}.name", value.word
            yield from _numbers(name, {n: getattr(value, n) for n in value.model_fields_set})


def _numbers(prefix: str, given: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Return the numbers among named values; of a schedule the largest that it takes."""
    for name, value in given.items():
        if isinstance(value, Schedule):
            yield f"{prefix}.{name}", max(ends_of(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}.{name}", value


def run_name(program: Program, options: RunOptions, spec: str, number: int) -> str:
    """Return what sets a run apart: `mocov2 laptop temperature=0.1 resnet34 seed=1 #3`.

    `spec` is the name of its file and `number` counts the runs of it. An override that is a call
    stands without its parameter.
    """
    given = program.spec
    recipe = given.recipe_name
    parts = [spec, *([recipe] if recipe not in (None, "default") else [])]
    parts += [_override(text) for text in given.overrides]
    parts += [f"seed={options.seed}"] if options.seed else []
    if options.precision != "float32":
        parts.append(options.precision)
    last = f"#{number}"
    name = clean_text(" ".join(parts))
    return f"{_cut(name, _NAME - len(last) - 1)} {last}"


def _override(text: str) -> str:
    name, equals, value = text.partition("=")
    if "{" in name:  # of a phase
        return _cut(text, _OVERRIDE)
    value = value.strip()
    call, bracket, _ = value.partition("(")
    if bracket and call.isidentifier():
        return _cut(value.removesuffix("()"), _OVERRIDE)
    return _cut(f"{name.strip()}{equals}{value}", _OVERRIDE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def data_sets(program: Program, data: Data) -> tuple[DataSet, ...]:
    """Return what a phase trains on and what it is evaluated on."""
    assert program.spec.recipe is not None
    word = program.spec.recipe.data
    place = str(getattr(word, "path", "")) or word.word
    phase = f" ({program.phase})" if len(program.phases) > 1 or program.phase != "pretrain" else ""
    evaluated = bool(program.spec.recipe.evaluate) and program.features is not None
    found = [_data_set(data.train, data.name, place, f"training{phase}")]
    if evaluated and len(data.test):
        found.append(_data_set(data.test, f"{data.name} test", place, f"evaluation{phase}"))
    return tuple(found)


def _data_set(source: Source, name: str, place: str, context: str) -> DataSet:
    classes = 0 if source.classes is None else len(source.classes)
    return DataSet(name, source.digest, place, context, len(source), classes)


def page(program: Program, record: RunRecord, text: str) -> str:
    """Return the description of a run in Markdown: method, recipe, data, results, the spec."""
    spec = program.spec
    lines = [f"# {spec.method}", ""]
    if spec.paper:
        lines += [f"Paper: {_link(spec.paper)}", ""]
    lines += [f"- spec: {_code(record.source)}"]
    lines += [f"- recipe: {_code(record.recipe or 'none')}, seed {record.seed}"]
    if record.overrides:
        lines += [f"- overrides: {', '.join(map(_code, record.overrides))}"]
    for one in record.inputs:
        classes = f" of {one.classes} classes" if one.classes else ""
        lines += [f"- {one.context}: {_code(one.name)}, {one.images:,} images{classes}"]
    lines += [f"- assumed: {name}, for {_code(reason)}" for name, reason in spec.assumes]
    if record.results:
        lines += ["", "| result | value | as initialised | gain | raw pixels | protocol |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        lines += [_row(result) for result in record.results]
    fence = "`" * max(3, 1 + _longest(text, "`"))
    return "\n".join([*lines, "", "## Spec", "", fence, text.strip(), fence, ""])


def _row(result: Result) -> str:
    pixels = "" if result.pixels is None else f"{result.pixels:.3f}"
    return (
        f"| {result.metric} | {result.value:.3f} ± {result.error:.3f} | {result.initial:.3f} | "
        f"{result.gain:+.3f} ± {result.gain_error:.3f} | {pixels} | {result.protocol} |"
    )


def _code(text: str) -> str:
    """Return text as Markdown shows it as it stands, on one line."""
    mark = "`" * (1 + _longest(text, "`"))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{mark}{space}{clean_text(text)}{space}{mark}"


def _longest(text: str, character: str) -> int:
    """Return how often a character stands in a row, at the most."""
    runs = (len(list(group)) for key, group in groupby(text) if key == character)
    return max(runs, default=0)


def _link(paper: str) -> str:
    name = paper.removeprefix("arXiv:")
    return paper if name == paper else f"[{paper}](https://arxiv.org/abs/{name})"
