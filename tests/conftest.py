"""Settings for every test."""

import atexit
import os
import shutil
import tempfile

# Before any library reads it: no test may need a network, and a mistyped model name must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"

# Whoever measures holds a lock in the folder of temporary files. Times of tests count for nothing, so the processes of
# pytest need not wait for each other; what they leave behind goes with the folder.
tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="codesign-tests-")
atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)
