"""The catalog, availability, pickers and watches."""
