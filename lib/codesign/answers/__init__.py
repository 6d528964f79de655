"""What records say: frames, effects over them, and the claims and numbers that the pages print."""
