"""What a run leaves behind: its folder, and a copy of it in MLflow."""
