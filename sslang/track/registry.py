"""Runs whose models are registered in MLflow under a name."""

from __future__ import annotations

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track.mlflow_client import UnreachableError, load, register_model
from sslang.track.run_folder import RunFolder


def register(folder: RunFolder, name: str) -> tuple[str, str]:
    """Register the model of a run under a name; return its version there and its address.

    Raises DiagnosticError E719 where MLflow has no model of the run, and E717 where it cannot be
    reached or does not take the name.
    """
    tracking = folder.record().tracking
    if tracking is None or not tracking.model_id:
        message = f"MLflow has no model of {folder.path}"
        hint = "a run's model is logged when it has finished, unless it is without tracking; "
        raise DiagnosticError(
            Diagnostic("E719", message, hint=f"{hint}`sslang track sync {folder.path}` sends it")
        )
    try:
        load()
        version = register_model(tracking.uri, tracking.model_id, name)
    except UnreachableError as error:
        message = f"MLflow does not register it: {error}"
        raise DiagnosticError(Diagnostic("E717", message)) from None
    return version, f"models:/{name}/{version}"
