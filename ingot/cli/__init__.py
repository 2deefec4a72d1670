"""The command line: the only place that prints or exits."""

import atexit
import gc

# Nearly all that a command makes lives to its end, above all what it imports: to look through that for cycles
# again and again, and once more at the end, takes longer than what `ingot bake` does when there is nothing to
# do.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
