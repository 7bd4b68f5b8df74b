"""SQL: what is remembered. One transaction for each recording; everything else reads."""

from monitor.store.errors import ChainBrokenError, Fenced, StoreError, is_disk_full, is_transient
from monitor.store.store import Store

__all__ = ["ChainBrokenError", "Fenced", "Store", "StoreError", "is_disk_full", "is_transient"]
