"""SQL: what is remembered. One transaction for each recording; everything else reads."""

from monitor.store.errors import DISK_FULL, ChainBrokenError, Fenced, StoreError, is_disk_full, is_transient
from monitor.store.store import Store

__all__ = ["DISK_FULL", "ChainBrokenError", "Fenced", "Store", "StoreError", "is_disk_full", "is_transient"]
