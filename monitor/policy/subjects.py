"""What has labels: endpoints and network sets, filed by address, by label class and by what they inherit from."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from models.facts import FactKey, Kind
from monitor.policy import model
from monitor.policy.convert_endpoints import namespace_profile
from monitor.policy.places import Places
from monitor.policy.selection import LabelClass, LabelClasses
from monitor.policy.selections import Selections

Subject = model.Endpoint | model.Set


class Change(Struct, frozen=True):
    """What became of a subject. `is_moved`: what is asked by address, port or net may answer otherwise."""

    old: Subject | None
    new: Subject | None
    old_class: LabelClass | None
    new_class: LabelClass | None
    is_moved: bool


class Subjects:
    """Endpoints and sets by id, with their indexes."""

    def __init__(self) -> None:
        self.endpoints: dict[str, model.Endpoint] = {}
        self.sets: dict[str, model.Set] = {}
        self.classes = LabelClasses()
        self.selections = Selections(self.classes)
        self._class_of: dict[str, LabelClass] = {}
        self.places = Places(self._class_of)
        self._by_profile: dict[str, dict[str, FactKey]] = {}

    def class_of(self, subject: str) -> LabelClass:
        return self._class_of[subject]

    def inheriting(self, profile: str) -> Iterable[FactKey]:
        """The facts of those that a profile hands labels down to, or decides for."""
        return self._by_profile.get(profile, {}).values()

    def endpoints_with(self, profile: str) -> set[str]:
        return {subject for subject in self._by_profile.get(profile, ()) if subject in self.endpoints}

    def domain_classes(self) -> list[LabelClass]:
        return [self._class_of[each.id] for each in self.sets.values() if each.has_domains]

    def replace(self, key: FactKey, new: Subject | None) -> Change | None:
        """None if it is as it was."""
        subject = subject_id(key)
        old = self.endpoints.get(subject) or self.sets.get(subject)
        if old == new:
            return None
        old_class = self._class_of.pop(subject, None)
        if old is not None:
            self._take(old)
        new_class = None if new is None else self._join(new)
        if new is not None and new_class is not None:
            if new.labels is not new_class.labels:
                new = structs.replace(new, labels=new_class.labels)  # the class's dictionary: equal, and held once
            self._put(key, new)
        if old_class is not None and old_class is not new_class and self.classes.leave(subject, old_class):
            self.selections.remove_class(old_class)
        is_moved = old is None or new is None or _place(old) != _place(new)
        return Change(old, new, old_class, new_class, is_moved)

    def _join(self, new: Subject) -> LabelClass:
        found, is_new = self.classes.join(new.id, new.labels)
        if is_new:
            self.selections.add_class(found)
        self._class_of[new.id] = found
        return found

    def _put(self, key: FactKey, new: Subject) -> None:
        for profile in _profiles(new):
            self._by_profile.setdefault(profile, {})[new.id] = key
        if isinstance(new, model.Endpoint):
            self.endpoints[new.id] = new
            self.places.put(new)
        else:
            self.sets[new.id] = new
            self.places.put_set(new)

    def _take(self, old: Subject) -> None:
        for profile in dict.fromkeys(_profiles(old)):  # a host endpoint may list a profile twice
            filed = self._by_profile[profile]
            del filed[old.id]
            if not filed:
                del self._by_profile[profile]
        if isinstance(old, model.Endpoint):
            del self.endpoints[old.id]
            self.places.take(old)
        else:
            del self.sets[old.id]
            self.places.take_set(old)


def subject_id(key: FactKey) -> str:
    match key.kind:
        case Kind.POD:
            return f"pod:{key.namespace}/{key.name}"
        case Kind.HOST_ENDPOINT:
            return f"host:{key.name}"
    return f"set:{key.namespace}/{key.name}"


def _profiles(subject: Subject) -> tuple[str, ...]:
    if isinstance(subject, model.Endpoint):
        return subject.profiles
    return (namespace_profile(subject.namespace),) if subject.namespace else ()


def _place(subject: Subject) -> object:
    if isinstance(subject, model.Endpoint):
        return (subject.addresses, subject.named_ports)
    return (subject.nets, subject.has_domains)
