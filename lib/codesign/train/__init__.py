"""Fine-tuning with a teacher while weights are pruned: seeded, resumable, and the same on every run of a machine."""
