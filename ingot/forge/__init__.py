"""Git and GitHub: revisions, comments on pull requests, lock upgrades."""
