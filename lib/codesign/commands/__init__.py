"""What each command of `codesign` does, imported when it runs."""
