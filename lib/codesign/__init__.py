"""Block sparsity of BERT encoders and the compiler that has to make it pay.

Work flows left to right, and a module imports only from modules to its left::

    errors, blocks, folders, records -> encoder, corpus -> prune -> bsr -> machine -> train -> compiler
        -> engines -> measure -> study -> pipeline, cli

``codesign.runtime`` stands alone.
"""

__version__ = "0.1.0"
