"""Events a client is told of."""
