"""Stand-ins for the vendors: HTTP servers with their quirks, books and scripted faults."""
