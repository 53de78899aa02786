"""The pages of a client's own people at `/portal`: they show and do what the clients' API does."""
