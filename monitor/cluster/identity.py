"""Which cluster is read, whatever it is called."""

from __future__ import annotations

from msgspec import Struct


class Identity(Struct, frozen=True, kw_only=True):
    """`uid`: of the namespace kube-system; empty while it is not known. `version`: of Kubernetes."""

    uid: str = ""
    version: str = ""
