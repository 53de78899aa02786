"""Mail to clients and to their customers."""
