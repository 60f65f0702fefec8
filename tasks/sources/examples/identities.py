"""Made-up identities: nobody's, and always the same for the same generator.

Telephone numbers lie in 555-0100 to 555-0199, which the North American plan keeps for fiction,
e-mail addresses under example.org and example.net (RFC 2606). Names are drawn independently, so
that a name says nothing but, by the first, the sex; some occur twice, as they do among people.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

FEMALE = (  # noqa: SIM905  # words in lines are read and kept more easily
    "Aaliyah Agnieszka Aiko Amara Beatriz Carmen Chiara Dolores Eleni Esther Fatima Freya Grace "
    "Hannah Ingrid Jasmine Keisha Leilani Mei Miriam Nadia Nkechi Priya Rosa Ruth Sofía Thandiwe "
    "Yolanda Zeynep Zoë"
).split()
MALE = (  # noqa: SIM905  # words in lines are read and kept more easily
    "Abdul Ahmed Andrzej Antonio Bao Carlos Chidi Darius Diego Elijah Emeka Finn Giovanni Haruto "
    "Ibrahim Isaac Jamal Jorge José Kwame Liam Luis Mateo Nikolai Omar Rajesh Samuel Søren Tomasz "
    "Wei"
).split()
LAST = (  # noqa: SIM905  # words in lines are read and kept more easily
    "Abara Abdi Acosta Adeyemi Aguilar Alvarez Andersson Bakker Banerjee Begum Bianchi Boateng "
    "Bondarenko Bauer Castillo Chaudhry Chavez Chen Choi Cohen Contreras Cruz Delgado Desai Diallo "
    "Dimitriou Dogan Dubois Eriksen Espinoza Farah Fernández Fischer Flores Fontaine Garcia Ghosh "
    "Greenberg Gutierrez Haddad Hansen Hassan Hernandez Herrera Hoang Horvath Ibarra Ivanov Jansen "
    "Jimenez Johansson Kamara Kaplan Kaya Kealoha Khan Kim Kovács Kowalski "
    "Kumar Lindqvist Lombardi Lopez Mahmoud Martinez Mbeki Mendoza Mensah Moreau Morales Murphy "
    "Nakamura Navarro Nguyen Novák Núñez Nwosu Obi Okafor Oliveira Papadakis Park Patel Pham "
    "Popescu Quispe Ramirez Reyes Rossi Ruiz Salazar Santos Schneider "
    "Shapiro Silva Suzuki Tanaka Torres Tran Yilmaz Zhang"
).split()
STREETS = ("Alder", "Birch", "Cedar", "Elm", "Hawthorn", "Juniper", "Linden", "Maple", "Rowan")
TOWNS = ("Ashford", "Brookfield", "Clearwater", "Easton", "Fairview", "Lakewood", "Northgate")


@dataclass(frozen=True)
class Identity:
    """What a made-up person is called and how they are reached."""

    first: str
    last: str
    full_name: str
    e_mail: str
    phone: str
    address: str


def pick(rng: np.random.Generator, items: Sequence[Item], count: int) -> list[Item]:
    """Draw `count` items with equal chance, with repetition."""
    return [items[int(draw * len(items))] for draw in rng.random(count)]


def shuffle(rng: np.random.Generator, pool: int, count: int) -> list[int]:
    """Draw `count` different numbers from 1 to `pool`, in an order that says nothing."""
    return [int(number) + 1 for number in np.argsort(rng.random(pool), kind="stable")[:count]]


def make_identities(rng: np.random.Generator, female: Sequence[bool]) -> list[Identity]:
    """Make one identity for each person, with a first name by sex."""
    count = len(female)
    women, men = pick(rng, FEMALE, count), pick(rng, MALE, count)
    firsts = [w if sex else m for w, m, sex in zip(women, men, female, strict=True)]
    lasts, initials = pick(rng, LAST, count), pick(rng, "ABCDEFGHJKLMNPRSTVW", count)
    lines = shuffle(rng, 70_000, count)
    houses = rng.integers(1, 400, count)
    places = zip(pick(rng, STREETS, count), pick(rng, TOWNS, count), houses, strict=True)
    return [
        Identity(
            first=first,
            last=last,
            full_name=f"{first} {initial}. {last}",
            e_mail=f"{_ascii(first)}.{_ascii(last)}{line}@example.{'org' if line % 3 else 'net'}",
            phone=f"({200 + line // 100}) 555-{100 + line % 100:04d}",
            address=f"{house} {street} Street, {town}",
        )
        for first, last, initial, line, (street, town, house) in zip(
            firsts, lasts, initials, lines, places, strict=True
        )
    ]


def _ascii(name: str) -> str:
    """Give a name as an e-mail address spells it."""
    plain = unicodedata.normalize("NFKD", name.replace("ø", "o")).encode("ascii", "ignore")
    return plain.decode().lower()
