"""Every diagnostic code, declared once: its severity, title and explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Code:
    code: str
    title: str
    explanation: str
    severity: Severity = "error"


_ALL = (
    # 1xx: text and syntax
    Code("E101", "unexpected text", "The grammar has no place for this token here."),
    Code("E102", "unknown character", "This character begins no token of the language."),
    Code("E103", "nesting too deep", "Brackets and operators may be nested 60 deep at most."),
    Code("E104", "not a text file", "A spec is UTF-8 text of at most 1 MB."),
    Code("E105", "number out of range", "A number in a spec has at most 15 digits."),
    Code("E106", "unfinished statement", "The file ends inside a bracket, a block or a string."),
    # 2xx: names and overlays
    Code("E201", "unknown name", "No declaration, parameter or prelude name is called this."),
    Code("E202", "declared twice", "A file has one namespace; each name is declared once."),
    Code("E203", "cycle", "These declarations need each other, and no state lies between them."),
    Code("E204", "unknown recipe", "The file has no recipe of this name, nor has the prelude."),
    Code(
        "E205",
        "override of an unknown name",
        "A recipe in the file or the command line replaces right sides; it adds no names except "
        "the fields of a recipe.",
    ),
    Code("E206", "file cannot be read", "The path does not name a readable spec."),
    Code("E207", "unused declaration", "No recipe of the file reaches this declaration."),
    Code(
        "E208", "hides a prelude name", "The declaration takes the place of a prelude name.", "note"
    ),
    Code("E209", "no method line", 'A spec begins with `method "NAME"`.'),
    Code(
        "E210",
        "not in this version",
        "The construct belongs to the language, and this version does not compile it yet.",
    ),
    Code(
        "E212",
        "labels not declared",
        'A method that uses `label` or `classes` says so: `method "..." (labels = true)`.',
    ),
    Code("E211", "changed kind", "An overlay keeps the kind of what it replaces."),
    # 3xx: types and shapes
    Code("E301", "wrong type", "The value is of another type than its place needs."),
    Code("E302", "shapes differ", "The shapes of these values do not fit together."),
    Code("E303", "wrong arguments", "The call gives too few, too many or unknown arguments."),
    Code("E304", "not a net", "Only a net that was built by encoder, head or branch is applied."),
    Code("E305", "widths differ", "A net is used with two different input widths."),
    Code("E306", "family expected", "The operation is about a family, or about one value."),
    Code("E307", "bare arrow", "`a -> b` alone does not say how to go from a to b."),
    Code("E308", "no unit", "A duration has a unit: epochs or steps."),
    Code("E309", "out of range", "The number lies outside the values that make sense here."),
    Code("E310", "no such member", "The family or net has no member of this name or number."),
    Code("E312", "features not fixed", "What is evaluated may not depend on a draw."),
    Code("E311", "too large", "Families, loops and tensors of a spec are limited in size."),
    # 4xx: gradient and state
    Code(
        "E401",
        "average enters the loss uncut",
        "The output of a momentum average must pass stop_grad before it enters the loss.",
    ),
    Code("E402", "net never trained", "No gradient of the loss reaches this net."),
    Code("E403", "two writes", "A state has at most one write, so that no order can be wrong."),
    Code(
        "E404", "state never written", "The state is read, and nothing ever writes it.", "warning"
    ),
    Code("E405", "write does not fit", "The shape of the written value is not the state's."),
    Code(
        "E406",
        "queue and batch do not divide",
        "A queue's length must be a multiple of the batch, so that whole batches leave it.",
    ),
    Code("E407", "not a state", "Only a queue, a bank or a state can be written."),
    Code(
        "E410",
        "loss collapses",
        "A constant embedding minimises the loss, and nothing in the spec prevents it.",
    ),
    Code("E408", "loss has no rows", "The loss is a scalar or has one value a row of the batch."),
    Code("E409", "no loss", "A spec that trains needs a binding called `loss`."),
    # 5xx: recipes
    Code(
        "E501",
        "recipe lacks a field",
        "A recipe that trains names data, batch, length and optimizer.",
    ),
    Code("E502", "wrong field", "The value does not fit the field of the recipe."),
    Code(
        "E503",
        "batch norm groups do not divide",
        "The batch must be a multiple of the images in a group of batch norm.",
    ),
    Code("E504", "schedule outlasts the run", "A warm-up or milestone lies after the end."),
    Code("E505", "selector matches nothing", "The selector names no parameter of the nets."),
    Code("E506", "run too short", "The run has fewer than one step."),
    # 6xx: data
    Code("E601", "data cannot be opened", "The data set is not where the recipe says."),
    Code("E602", "too few images", "The data set has fewer images than the batch needs."),
    Code("E603", "images differ in size", "The chain needs a crop or a resize before this op."),
    Code("E604", "unknown data set or option", "No data set or option is called this."),
    Code("E605", "too many unreadable images", "More than 1 % of the images cannot be read."),
    Code("E607", "weights do not fit", "What `pretrained` names lacks the net, or has another."),
    Code("E609", "bank too small", "A bank that `index` reads has a row for each image."),
    Code("E608", "no labels", "The phase is trained with labels, and the data has none."),
    Code("E606", "loader processes die", "A worker process died again after a restart."),
    # 7xx: runs and tracking
    Code("E701", "nothing to resume", "No checkpoint that can be loaded was found."),
    Code("E702", "another spec", "The run was begun with another spec than the one given."),
    Code("E711", "checkpoint damaged", "The file is missing, incomplete or changed."),
    Code(
        "E712",
        "checkpoint passed over",
        "A damaged checkpoint; the one before it is used.",
        "warning",
    ),
    Code("E713", "no room for a checkpoint", "The disk did not take it; the old ones are kept."),
    Code("E714", "no folder for the run", "The run's folder cannot be made or is in use."),
    Code("E715", "not a run", "The folder is not that of a run."),
    Code("E716", "file cannot be written", "The disk did not take a file of the run."),
    Code("E717", "tracking unreachable", "MLflow does not answer; the run goes on.", "warning"),
    Code("E718", "tracking incomplete", "MLflow lacks a part of the run.", "warning"),
    Code("E719", "nothing to send", "The run was not tracked, or cannot be sent."),
    Code("E720", "cannot be evaluated", "Too few labelled images for this evaluation."),
    Code("E704", "device cannot be used", "torch cannot use the device that was asked for."),
    Code("E703", "loss is not a number", "The loss of a step was infinite or not a number."),
)

CODES: dict[str, Code] = {code.code: code for code in _ALL}
