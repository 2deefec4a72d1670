"""What is printed, and how: progress, tables, JSON, fleets; all of it safe for a terminal."""
