"""Codes E7xx. Runs, checkpoints and tracking."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
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
