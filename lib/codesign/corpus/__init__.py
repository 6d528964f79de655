"""Real English text without a network, and the tasks that accuracy is measured on."""
