"""Stand-in until the real one is merged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CanonicalForm:
    digits: bool = False
    spaced: bool = False
    repeats: bool = False

    def form(self, text):
        return " ".join(text.lower().split())

    def to_dict(self):
        return {"digits": self.digits, "spaced": self.spaced, "repeats": self.repeats}

    @classmethod
    def from_dict(cls, values):
        return cls(**values)
