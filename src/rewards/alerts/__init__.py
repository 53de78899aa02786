"""What is wrong, raised once for each crossing of a limit, told to staff, and cleared again."""
