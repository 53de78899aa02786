"""Companies that buy: credentials, tokens, signing, allow-list, limits."""
