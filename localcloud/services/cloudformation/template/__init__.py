"""What a template says: its text, intrinsic functions, references, parameters and properties."""
