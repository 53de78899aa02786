"""Pure values and rules that every slice shares; standard library only."""
