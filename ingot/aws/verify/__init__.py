"""Reading a published snapshot back, and comparing it with what was baked."""
