"""The room that pages for people stand in: sessions, forms, the API behind, how it looks."""
