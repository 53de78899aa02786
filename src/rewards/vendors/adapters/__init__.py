"""One module for each vendor's wire format, all behind the port."""
