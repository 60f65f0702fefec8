"""What stands with a capital in notes about health and names nobody: medicines, signs, devices.

A medicine is told by a list, by the stem of its international non-proprietary name, by a dose or a
form behind it, by words before it that announce medicines ("prescribed", "allergic to"), or by
another medicine in the same list. A name before "syndrome" or "sign" is a discoverer's, and a
listed discoverer's also before words that anybody can have ("Parkinson's disease", "Wells score").

People go first: what is a given name is no medicine, whatever stands around it, and where only the
words around speak for a medicine, it must be one word that ends as one does in a sentence. A title
or a role before a name outweighs all of this (`recognizers.py`). Not told: new brand names without
such words, and a discoverer's name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import yaml

from tasks.anonymization.free_text.places import GIVEN_NAMES, WORDS_TOO

TERMS: Final = Path(__file__).with_name("medical_terms.yaml")

# Endings that form terms of medicine and abstract nouns.
_ENDINGS: Final = (
    r"sulfa\w*|ectomy|otomy|ostomy|plasty|scop(?:y|ic)|graph(?:y|ic)|gram|olog(?:y|ist|ical)"
    r"|opath(?:y|ic)|algia|itis|osis|[aeiou]tic|emia|aemia|uria|megaly|penia|plegia|paresis|trophy"
    r"|genic|rrhea|[ts]ion|ically|ously|ability|i[sz]ation|ometry|therapy|aceous|cardia[cl]?|oma"
    r"|amine|coccus|bacter(?:ium)?|globin|ocrit|ferritin|ophil|cyte|kinase|transferase|bilirubin"
    r"|creatinine|troponin|albumin|fibrinogen|lipid|arteritis|encephalopathy"
)
_LETTERS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NAMED = re.compile(
    r"(?:[Tt]he )?(?P<name>[^\W\d_][\w-]*?(?=['’]s?\b|\b)(?:[ -](?:and )?[A-Z][\w-]*)*)"
)
_SPECIES = re.compile(r" ([a-z]{4,})\b")
_DOSE = re.compile(
    r"\W{1,3}(?:[A-Z]{2,3} )?\d[\d.,/-]* ?(?:mg|mcg|µg|g|ml|units?|iu|%|tab)", re.IGNORECASE
)
_FORM = re.compile(
    r" (?:(?:was|were) (?:(?:stopped|held) (?:because|due|after|for)|discontinued|tapered|titrated"
    r"|(?:re)?started(?! on)|increased|decreased|reduced|resumed|well tolerated)"
    r"|(?:tablet|capsule|inhaler|ointment|cream|drop|patche?|injection|spray|syrup|gel|pill|vaccine"
    r"|suspension|infusion|suppository|lozenge)s?|hydrochloride|sodium|sulfate|XR|SR|ER|prn|bid|tid"
    r"|qd|qhs)\b"
)
# What stands before a medicine in a list: items, each with the separator behind it.
_BETWEEN = r"(?:, (?:and |or )?| and | or | ?/ ?| \+ |; )"
_ITEM = (
    r"[A-Z][\w-]*(?: [A-Z][\w-]*)?(?: \d[\w./]*(?: (?:mg|mcg|g|ml|units?))?)?"
    r"(?: (?:once|twice|\w+ times)? ?(?:daily|nightly|weekly))?(?: for [a-z]+)?"
)
_ITEMS = rf"(?P<items>(?:(?:{_ITEM}|[a-z][\w-]*){_BETWEEN})*)$"
# Words that announce nothing but medicines; and those that do so where one of a list is known.
_ANNOUNCED = re.compile(
    r"\b(?i:prescri(?:bed?|bes|bing)|allerg(?:ic|y|ies) to|intoleran(?:t of|ce to|t to)"
    r"|(?:treated|premedicated|loaded|maintained|controlled) with|(?:doses?|courses?|tablets?"
    r"|mg|mcg|units) of|administered|dispensed|(?:infusion|injection|tablet)s? of|discontinued"
    r"|started on|(?:is|was|were|been|remains?|stays?|currently|now) on|(?:side|adverse) effects of"
    r"|(?:medications?|meds|medicines|drugs|rx|allergies)(?::| includ\w+:?| are))"
    rf"\s+(?:{_ITEM}{_BETWEEN})*$"
)
_TAKEN = re.compile(
    r"\b(?i:tak(?:es|ing|en|e)|took|on|receiv\w+|us(?:es|ed|ing)|g(?:iven|ave)|continu\w+|with"
    r"|start(?:ed|s)?|stopped|held|holds?|resum\w+|switched(?: from| to)?|prescribed|of"
    rf"|allergic to|medications?:|meds:)\s+{_ITEMS}"
)
_FOLLOWING = re.compile(rf"(?:(?: \d[\w./]*(?: (?:mg|mcg|g|ml|units?))?)?{_BETWEEN}[\w-]+)+")
_ENDED = re.compile(
    r"(?!['’]s\b)(?:\s*(?:[,.;)/\n]|$)| (?:and|or|for|daily|twice|once|every|nightly|weekly|since"
    r"|as needed|at (?:night|bedtime)|with (?:food|meals)|before (?:bed|meals)|after meals|\d))"
)
# Words behind a name that make it a discoverer's: of these nobody has one of their own.
_SIGN = (
    r"(?:signs?|syndrome|palsy|reflex|phenomenon|triad|maneuver|manoeuvre|criteria|classification"
    r"|lymphoma|sarcoma|thyroiditis|malformation)"
)
# These are also said of somebody's own ("Kowalczyk's test"): behind an 's a name must be listed.
_THING = (
    r"(?:tests?|disease|scores?|scale|stage|grade|catheters?|drains?|tubes?|index|sutures?|stent"
    r"|stitch(?:es)?|retractors?|clamps?|forceps|scissors|needles?|dressings?|gauze|blades?"
    r"|incision|approach|technique|position|procedure|operation|graft|prosthesis|implant|screws?"
    r"|valve|stapler?s?|elevator|speculum|tenaculum|electrocautery|cautery|fascia|ligament|canal"
    r"|solution|cream|tablets?|(?:positive|negative)(?! for))"
)
# These count behind a listed name only, possessive or not.
_BODY = (
    r"(?:tumou?rs?|fractures?|cysts?|nodes?|nodules|spots?|cells?|joints?|contractures?|hernia"
    r"|o?esophagus|diverticul\w+|ulcers?|virus|smears?|stain(?:s|ing)?|monitor(?:ing)?|ultrasound"
    r"|glands?|tendon|tendonitis|fib(?:er|re)s?|bodies|body|dementia|chorea|coma|encephalopathy"
    r"|psychosis|neuroma|nephroma|angina|anaemia|anemia|gangrene|tetralogy|exercises?|breathing"
    r"|respirations?|lesions?|papules|patches|rings?|tubercles?|ataxia|neuropathy|wires?|pins?"
    r"|chart|lamp|block|type|phase|loops?|layer|area|lines?|units?|collar|bandage|tears?|point"
    r"|serology|titers?|antibod(?:y|ies)"
    r"|thickness|inventory|class|purpura|dystrophy|arteritis|bypass|fundoplication)"
)
_DISCOVERER = re.compile(rf"(?:['’]s?)?(?:(?: and |[-/–])[A-Z]\w+)? (?:[A-Z]\w+ )?{_SIGN}\b")
_PLAIN_THING = re.compile(rf"(?: and [A-Z]\w+)? {_THING}\b")
_LISTED_THING = re.compile(
    rf"(?:['’]s?)?(?:(?: and |[-/–])[A-Z]\w+)?(?: \w+)? (?:{_THING}|{_BODY})\b", re.IGNORECASE
)
# Discoverers whose names stand alone for an illness, with an 's.
_ALONE_WORDS: Final = """
parkinson alzheimer crohn huntington hodgkin hashimoto sjögren sjogren raynaud cushing tourette
asperger ménière meniere peyronie dupuytren kawasaki bechterew
"""
_ALONE: Final = frozenset(_ALONE_WORDS.split())
_SIZE = re.compile(r"\d ?(?:French|Fr|F|gauge|G) $")
_ILL = re.compile(r"['’]s?(?=\s*(?:[.,;:)]|$)| (?:and|with|since|in|is|was|for|at|on|diagnosed)\b)")


@cache
def _load() -> dict[str, frozenset[str]]:
    """Read the lists."""
    lists: dict[str, str] = yaml.safe_load(TERMS.read_text(encoding="utf-8"))
    return {name: frozenset(words.split()) for name, words in lists.items()}


@cache
def _formed() -> re.Pattern[str]:
    """Write the expression for words that are formed as medicines and terms are."""
    stems = "|".join(sorted(_load()["stems"]))
    return re.compile(rf"(?:{stems}|{_ENDINGS})s?$")


@lru_cache(maxsize=65536)
def is_term(word: str) -> bool:
    """Tell whether a word is a listed medicine or formed as medicines and medical terms are."""
    plain = word.lower()
    lists = _load()
    listed = plain in lists["brands"] or plain in lists["medicines"]
    return listed or (len(plain) >= 7 and _formed().search(plain) is not None)


def is_medical(text: str, start: int, end: int) -> bool:
    """Tell whether capitalized words are a medicine, a germ, or a discoverer's sign or device."""
    named = _NAMED.match(text, start, end)
    if named is None:
        return False
    words, end = _LETTERS.findall(named["name"]), named.end()
    if _is_eponym(words, text, named.start("name"), end) or _is_species(text, end):
        return True
    if any(word.lower() in GIVEN_NAMES for word in words):
        return False
    known = all(map(is_term, words)) or bool(_DOSE.match(text, end) or _FORM.match(text, end))
    return known or _is_announced(words, text, start, end)


def leave_out_medical(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give what is left of a finding without the medicines among its listed items."""
    items: list[tuple[int, int]] = []
    at = start
    for gap in re.finditer(_BETWEEN, text[start:end]):
        items.append((at, start + gap.start()))
        at = start + gap.end()
    items.append((at, end))
    left = [item for item in items if not is_medical(text, *item)]
    yield from [(start, end)] if len(left) == len(items) else left


def _is_eponym(words: list[str], text: str, start: int, end: int) -> bool:
    """Tell whether a name is a discoverer's, by the word behind it or the size before it."""
    names = [part for word in words for part in word.lower().split("-")]
    eponyms = _load()["eponyms"]
    if all(name in eponyms for name in names):
        alone = names[-1] in _ALONE and _ILL.match(text, end)
        alone = alone or _SIZE.search(text[max(0, start - 12) : start])
        return bool(alone or _DISCOVERER.match(text, end) or _LISTED_THING.match(text, end))
    if any(name in GIVEN_NAMES for name in names):
        return False
    return bool(_DISCOVERER.match(text, end) or _PLAIN_THING.match(text, end))


def _is_species(text: str, end: int) -> bool:
    """Tell whether a name is a germ's genus, by its species."""
    species = _SPECIES.match(text, end)
    return species is not None and species[1] in _load()["species"]


def _is_announced(words: list[str], text: str, start: int, end: int) -> bool:
    """Tell whether the words around a name speak of medicines."""
    if any(word.lower() in WORDS_TOO for word in words) or not _ENDED.match(text, end):
        return False
    before = text[max(0, start - 120) : start]
    if len(words) == 1 and _ANNOUNCED.search(before):
        return True
    taken = _TAKEN.search(before)
    following = _FOLLOWING.match(text, end)
    listed = (taken["items"] if taken else "") + (following[0] if following and taken else "")
    return any(map(is_term, _LETTERS.findall(listed)))
