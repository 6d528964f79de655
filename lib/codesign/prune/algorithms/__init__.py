"""Pruning algorithms, one a file: whatever lies here can be pruned with (`codesign.prune.PRUNERS`)."""
