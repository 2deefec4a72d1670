"""The settings of a deployment: their keys, the file of environments, and what applies."""
