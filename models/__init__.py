"""Nouns: frozen Structs, topic, metric and table definitions. No behaviour beyond derived properties, no I/O."""
