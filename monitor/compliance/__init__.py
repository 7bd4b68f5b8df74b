"""What is concluded of a cluster: the catalogue of controls, and its evaluation."""

from monitor.compliance.catalogue import CONTROLS
from monitor.compliance.evaluating import evaluate, vouching

__all__ = ["CONTROLS", "evaluate", "vouching"]
