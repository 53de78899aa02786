"""Files that staff ask for, made in the background."""
