"""What is known of a cluster: State for judging it now, History for judging what was seen a moment ago."""

from monitor.state.history import History
from monitor.state.state import ALL, State, fold

__all__ = ["ALL", "History", "State", "fold"]
