"""How a command fails: which error it ends with, its text and its exit code."""
