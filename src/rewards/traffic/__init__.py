"""The request log of clients: who asked what of the API, how it went, and how long it took."""
