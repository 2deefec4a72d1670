"""The roles of continuous integration, and the policies that they are granted."""
