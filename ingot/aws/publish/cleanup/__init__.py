"""What a publish creates is written down, and removed after a failure, a signal or a crash."""
