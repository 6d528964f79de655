"""Settings for every test."""

import os

# Before any library reads it: no test may need a network, and a mistyped model name must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"
