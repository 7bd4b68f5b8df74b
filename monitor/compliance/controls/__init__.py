"""One file per control: its record, whom it is about, and the check. Controls do not import one another."""
