"""The experiments: what each notebook calls."""
