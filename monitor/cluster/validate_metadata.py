"""What Calico's validators refuse in names, labels and annotations.

Names by Calico's own rules (libcalico-go/lib/validator/v3), labels and annotations by Kubernetes'
(k8s.io/apimachinery/pkg/util/validation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from monitor.cluster.refusals import Problem, Stage
from monitor.cluster.shapes import Metadata

LONGEST_NAME = 253
LONGEST_LABEL = 63
MOST_ANNOTATION_BYTES = 256 * 1024
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def metadata_problems(meta: Metadata, name_shape: re.Pattern[str]) -> Iterator[Problem]:
    """Names by Calico's own rules, labels and annotations by Kubernetes'."""
    if len(meta.name) > LONGEST_NAME:
        yield Problem(Stage.VALIDATOR, "metadata.name", f"longer than {LONGEST_NAME} characters")
    if not SUBDOMAIN.fullmatch(meta.name) or not name_shape.fullmatch(meta.name):
        yield Problem(Stage.VALIDATOR, "metadata.name", f"{meta.name!r} is not a name for this kind")
    for key, value in meta.labels.items():
        yield from label_problems(key, value, "metadata.labels")
    yield from annotation_problems(meta.annotations, "metadata.annotations")


def annotation_problems(annotations: Mapping[str, str], path: str) -> Iterator[Problem]:
    """Of an object, or of one rule."""
    for key in annotations:
        if not _is_qualified(key.lower()):
            yield Problem(Stage.VALIDATOR, path, f"{key!r} is no annotation key")
    if sum(len(key) + len(value) for key, value in annotations.items()) > MOST_ANNOTATION_BYTES:
        yield Problem(Stage.VALIDATOR, path, "larger than 256 KiB together")


def label_problems(key: str, value: str, path: str) -> Iterator[Problem]:
    if not _is_qualified(key):
        yield Problem(Stage.VALIDATOR, path, f"{key!r} is no label key")
    if value and (len(value) > LONGEST_LABEL or not _QUALIFIED.fullmatch(value)):
        yield Problem(Stage.VALIDATOR, path, f"{value!r} is no label value")


def _is_qualified(key: str) -> bool:
    """`[prefix/]name`: a subdomain of at most 253 characters, a name of at most 63."""
    prefix, slash, name = key.rpartition("/")
    is_prefixed = not slash or (len(prefix) <= LONGEST_NAME and SUBDOMAIN.fullmatch(prefix) is not None)
    return is_prefixed and len(name) <= LONGEST_LABEL and _QUALIFIED.fullmatch(name) is not None
