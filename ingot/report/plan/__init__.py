"""A plan as text and as the comment on its pull request."""
