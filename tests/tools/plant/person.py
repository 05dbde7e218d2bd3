"""Synthetic people. Each token is made up and unique in a set, so that finding one in an output is proof of a leak."""

from __future__ import annotations

import random
from dataclasses import dataclass

_SYLLABLES = [
    *("zy", "qor", "hal", "vard", "ok", "bri", "xan", "thu", "jem"),
    *("wol", "pex", "dri", "nuq", "fos", "gyr", "lat", "mub", "syz"),
]
_ROOT = "1.2.826.0.1.3680043.8.498.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person with everything that identifies them. Dates are YYYYMMDD."""

    family: str
    given: str
    middle: str
    mother: str
    physician: str
    operator: str
    relative: str
    mrn: str
    accession: str
    ssn: str
    phone: str
    email: str
    street: str
    city: str
    zip: str
    birth_date: str
    study_date: str
    hospital: str
    station: str
    serial: str
    insurance: str
    root: str

    @property
    def name(self) -> str:
        """The name as a PN value."""
        return f"{self.family}^{self.given}^{self.middle}"

    @property
    def free(self) -> str:
        """The name as it stands in free text."""
        return f"{self.given} {self.family}"

    @property
    def initial(self) -> str:
        """The name as a worklist prints it: FAMILY, G."""
        return f"{self.family.upper()}, {self.given[0]}."

    @property
    def iso_birth_date(self) -> str:
        """The birth date as YYYY-MM-DD."""
        return f"{self.birth_date[:4]}-{self.birth_date[4:6]}-{self.birth_date[6:]}"


def make_person(rng: random.Random, number: int) -> Person:
    """The next person of a set. The order of the draws is part of the set: do not change it."""

    def word() -> str:
        return "".join(rng.sample(_SYLLABLES, 3)).capitalize()

    def digits(count: int) -> str:
        return f"{rng.randrange(10**count):0{count}d}"

    def date(first_year: int, last_year: int) -> str:
        return f"{rng.randrange(first_year, last_year)}{rng.randrange(1, 13):02d}{rng.randrange(10, 28)}"

    family, given, middle, mother, physician, operator, relative = (word() for _ in range(7))
    mrn = f"MRN{number}{rng.choice('QXZK')}{digits(5)}"
    accession = f"ACC{number}{rng.choice('QXZK')}{digits(6)}"
    ssn = f"9{digits(2)}-{digits(2)}-{digits(4)}"
    phone = f"(555) 01{rng.randrange(10)}-{digits(4)}"
    email = f"{given}.{family}@{word()}.example".lower()
    street = f"{rng.randrange(100, 9999)} {word()} Lane"
    city, postcode = word() + "ville", digits(5)
    birth_date, study_date = date(1930, 1980), date(2010, 2024)
    hospital, station = word() + " Memorial Hospital", word().upper()
    serial, insurance = f"SN{word()[:4].upper()}{digits(6)}", f"INS{digits(8)}"
    word(), rng.randrange(1000)  # a number plate that no file uses
    return Person(
        **{"family": family, "given": given, "middle": middle, "mother": mother, "physician": physician},
        **{"operator": operator, "relative": relative, "mrn": mrn, "accession": accession, "ssn": ssn},
        **{"phone": phone, "email": email, "street": street, "city": city, "zip": postcode},
        **{"birth_date": birth_date, "study_date": study_date, "hospital": hospital, "station": station},
        **{"serial": serial, "insurance": insurance, "root": f"{_ROOT}{number}.{birth_date}"},
    )
