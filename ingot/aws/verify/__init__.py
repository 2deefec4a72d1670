"""Reading a published snapshot back."""
