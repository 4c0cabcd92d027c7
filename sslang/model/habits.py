"""What fields of recipes are called elsewhere, and what is written here instead."""

from __future__ import annotations

# Fields of a recipe under the names that others have for them.
_FIELDS = {
    "drop_last": "it is `last_batch = drop`",
    **dict.fromkeys(("epochs", "max_epochs", "num_epochs"), "it is `length = 100 epochs`"),
    **dict.fromkeys(("steps", "max_steps", "iterations"), "it is `length = 1000 steps`"),
    **dict.fromkeys(("batch_size", "bs"), "it is `batch = 256`"),
    **dict.fromkeys(("dataset", "data_dir", "path"), 'it is `data = image_folder("path")`'),
    **dict.fromkeys(
        ("lr", "learning_rate", "weight_decay", "wd", "betas", "nesterov"),
        "it is an argument of the optimizer: `optimizer = adamw(lr = 1e-3, weight_decay = 1e-4)`",
    ),
    **dict.fromkeys(
        ("scheduler", "lr_scheduler", "schedule", "warmup", "warmup_epochs"),
        "a rate is its own schedule: `lr = cosine(1e-3 -> 0, warmup = 10 epochs)`",
    ),
    **dict.fromkeys(
        ("seed", "device", "workers", "num_workers"), "it is an option of `sslang run`"
    ),
    **dict.fromkeys(("precision", "fp16", "amp"), "it is `sslang run --precision`"),
    **dict.fromkeys(("grad_clip", "clip_grad", "gradient_clip_val"), "it is `clip`"),
}


def field_hint(name: str) -> str:
    """What a recipe has for a field of another library; ``""`` where nothing is known."""
    return _FIELDS.get(name, "")
