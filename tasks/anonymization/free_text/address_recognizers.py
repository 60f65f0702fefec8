"""Presidio recognizers of where people live and come from: streets, postcodes, countries, peoples.

Addresses are known in the commoner European and North American ways of writing: a house number with
a word for street before, behind or within the name, boxes, corners, military posts, and the lines
of town, state and country that follow. Two numbers around capitalized words are a street as well,
unless a unit shows that they are quantities. Towns alone are left to a language model.
"""

from __future__ import annotations

import re

from tasks.anonymization.free_text.places import AMBIGUOUS, COUNTRIES, MONTHS, PEOPLES, STATES
from tasks.anonymization.free_text.recognizers import (
    LINK,
    LOWERED,
    WORD,
    AnyWord,
    ContextRecognizer,
    any_of,
)

_GAP = r"(?:[ \t]|,[ \t])"
_BREAK = r"(?:[ \t]*,)?[\s>?|]{1,9}"
_MONTH = f"(?:{any_of(MONTHS)})"
_HOUSE = r"\d{1,6}[A-Z]?(?:[-/]\d{1,4}[A-Z]?)?\b\.?"
_UNIT = r"(?:apt|apartment|suite|ste|unit|flat|room|floor|bldg|building)\b\.? ?\#?\w{1,6}"
_TYPE = (
    r"Street|St|Road|Rd|Avenue|Ave|Av|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Close"
    r"|Terrace|Crescent|Cres|Square|Sq|Highway|Hwy|Parkway|Pkwy|Row|Gardens|Grove|Hill|Mews|Circle"
    r"|Trail|Alley|Loop|Pike|Plaza|Quay|Turnpike|Esplanade|Walk|Rise"
)
_BEFORE = (
    r"Via|Viale|Vicolo|Piazza|Corso|Rue|Avenue|Av|Avda|Avenida|Bd|Boulevard|Calle|C/|Plaza|Paseo"
    r"|Camino|Carrera|Rua|Travessa|Praça|ul|ulica|al|aleja|plac|Strada|Chemin|Allée|Quai|Impasse"
)
_GLUED = (
    r"(?:stra(?:ß|ss)e|str|gasse|weg|platz|allee|damm|ufer|gade|vej|vænget|gata|gatan|gate|vegen"
    r"|veien|vägen|väg|stigen|straat|laan|kade|plein|gracht|dreef|katu|kuja|tänav|maantee|braut"
    r"|utca|útja|vegur|stræti|gränd|torget|stien|alléen|põik|ulice|ulica|singel|baan|ring|hof"
    r"|pad|dijk)"
)
_ZIP = (
    r"(?:\d{5}(?:-\d{4})?|(?:D|DE|A|AT|CH|F|I|NL|B|L|S|N|DK|PL)-\d{4,5}|\d{4} ?(?-i:[A-Z]{2})"
    r"|\d{2}-\d{3}|\d{3} \d{2}|\d{4}|(?-i:[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z]"
    r" ?\d[A-Z]\d))\b"
)
_COUNTRY = rf"(?:{any_of((*COUNTRIES, *PEOPLES))})\b(?: \(\w+\))?"
_STATE = rf"(?:(?-i:[A-Z]{{1,3}}|nan)\b|{any_of(STATES)})"
_CITY = rf"{WORD}(?:[ -](?:{LINK} )?(?:{WORD}|\(\p{{L}}+\))){{0,4}}"
# Lines after a street: unit, town, state, country; they count where a postcode or country ends
# them.
_TAIL = (
    rf"(?:(?:{_BREAK}{_UNIT}){{0,2}}(?:{_BREAK}{_CITY})?(?:{_BREAK}{_STATE})?"
    rf"(?:{_BREAK}{_COUNTRY}(?:{_BREAK}{_ZIP})?|{_BREAK}{_ZIP})"
    rf"|{_BREAK}{_ZIP} {_CITY}|(?:{_BREAK}{_UNIT}){{0,2}}, {_CITY}(?=[.;,]|\s*$)"
    rf"|(?:{_BREAK}{_UNIT}){{1,2}})?"
)
# A number, words and a number again is a street where no unit shows that they are quantities.
_QUANTITY = r"(?!\.?\d|\s?(?:m[gl]|mcg|µg|g|kg|cm|mm|%|units?|x|times|days?|weeks?|hours?|tab)\b|/)"
# Words that make "2 blocks down the road" no address.
_NO_STREET = (
    r"(?:the|an?|in|on|off|of|at|to|by|from|with|and|or|for|per|down|up|along|across|more|other|each"
    r"|x|mg|ml|miles?|km|blocks?|meters?|feet|minutes?|hours?|days?|weeks?|months?|years?|times|way"
    r"|lanes?|cars?|people|patients?|men|women|yards?)\b"
)
# Words with a capital whose number is no postcode.
_NO_NUMBER = (
    rf"(?!(?:{_MONTH}|room|ward|bed|unit|phase|grade|stage|type|figure|table|chapter|section|form"
    r"|building|level|version|windows|office|appendix|article|regulation|directive|model|series"
    r"|box|flight)\b)"
)
_CAPITALIZED = (
    rf"(?<![\d./-])\d{{2,6}}[A-Z]? (?!{_MONTH}\b)(?:(?:{LINK} |\d{{1,3}} )?{LOWERED},? ){{1,4}}"
)


# Codes of states that are no words in lower case.
_STATE_CODES = (
    "ak|al|ar|az|ca|co|ct|dc|fl|ga|ia|il|ks|ky|md|mi|mn|mo|ms|mt|nc|nd|ne|nh|nj|nm|nv|ny|ri|sc|sd|tn"
    "|tx|ut|va|vt|wa|wi|wv|wy"
)


class StreetAddressRecognizer(ContextRecognizer):
    """Streets with house numbers, boxes, corners, and the lines of town and country after them."""

    entity = "STREET_ADDRESS"
    expressions = (
        (
            rf"\b(?:{_HOUSE},? )?{_HOUSE},? (?-i:(?:[\p{{Lu}}\d][\w'.’-]* ){{1,4}}(?:{_TYPE}))\b\.?"
            rf"(?: (?:St|Rd)\b\.?)?(?:,? \#\w+)?{_TAIL}"
        ),
        (
            rf"(?:\b{_HOUSE}{_GAP}){{1,2}}(?:{_BEFORE})\b\.? (?:(?:{LINK} ?)?[\p{{L}}\d'’.-]+"
            rf" ?){{1,6}}"
            rf"(?:\b{_HOUSE})?{_TAIL}"
        ),
        rf"\b(?:{_BEFORE})\b\.? (?:{LINK} )*(?:{WORD},? ){{1,4}}{_HOUSE}{_TAIL}",
        (
            # Looked ahead first: few words stand before a number, and the endings are many.
            rf"(?:\b{_HOUSE} )?(?=(?-i:\p{{Lu}})[\p{{L}}-]+\.? \d)"
            rf"(?-i:\p{{Lu}}(?i:[\p{{L}}-]*{_GLUED}\b\.?)) {_HOUSE}{_TAIL}"
        ),
        (
            rf"(?:\b{_HOUSE} )?{WORD}(?: [\p{{L}}.-]+){{0,2}} (?:utca|út|útja|u\.|tér|körút"
            rf"|tie|gate|vej"
            rf"|gata|allé|väg|plads|stræde) {_HOUSE}{_TAIL}"
        ),
        rf"{_CAPITALIZED}\d{{1,5}}[A-Z]?\b{_QUANTITY}{_TAIL}",
        rf"^[ \t>]*\K\d{{2,6}}[A-Z]?(?: {LOWERED}){{2,4}}(?=,?[ \t]*$){_TAIL}",
        (
            rf"\b(?:live[sd]?|living|resid\w+|located|moved|address\w*(?: is)?:?) (?:at |on "
            rf"|in |to )?"
            rf"\K\d{{1,6}}[A-Z]?(?: {LOWERED}){{1,4}}{_TAIL}"
        ),
        rf"{WORD}(?: {WORD}){{0,3}} {_HOUSE}(?: {WORD}){{0,2}}{_BREAK}{_UNIT}{_TAIL}",
        rf"\b{_UNIT}{_BREAK}{_CAPITALIZED}\d{{1,5}}\b{_TAIL}",
        (
            rf"\b(?:{_HOUSE} )?(?:(?:PSC|Unit|CMR) \d+,? Box|p\.?\s?o\.? ?box|Postfach) \d+"
            rf"(?: {WORD}){{0,2}}(?:{_BREAK}(?:APO|FPO|DPO),? A[AEP](?: \d{{5}})?)?{_TAIL}"
        ),
        r"\b(?:APO|FPO|DPO),? A[AEP] \d{5}\b",
        (
            rf"\b\d{{1,6}}[A-Z]? (?:(?!{_NO_STREET})[\p{{L}}\d'’.-]+ ){{1,4}}(?:street|st|road|rd"
            rf"|avenue|ave|boulevard|blvd|lane|ln|crescent|parkway|terrace)\b\.?{_TAIL}"
        ),
        (
            rf"\b(?:corner|intersection) of \K(?:(?:ul\.|{LINK}|{WORD}|\d{{1,5}}\.?"
            rf"|[\p{{L}}]+) ){{1,6}}"
            rf"(?:and|&) (?:(?:ul\.|{LINK}|{WORD}|\d{{1,5}}) ?){{1,5}}"
        ),
        (
            r"\b(?:address(?:es)?(?: here)?(?: is| was| to)?:? |(?:live[sd]?|living|resid\w+"
            r"|located)"
            rf" (?:at|on|in) |meet (?:\w+ )?at )(?:it is )?\K(?:\d{{1,6}}[A-Z]? )*(?:(?:{LINK} )?"
            rf"[\p{{L}}'’.-]+ ){{1,5}}\d{{1,5}}\b{_TAIL}"
        ),
        rf"\b(?:apt|apartment|suite|ste)\b\.? ?\#?\d\w{{0,5}}{_TAIL}",
    )


class PostcodeRecognizer(ContextRecognizer):
    """Postcodes after a state, a country sign, a country's name or the word for postcode."""

    entity = "ZIP_CODE"
    expressions = (
        r"(?-i:\b[A-Z]{2}),?\s+\K\d{5}(?:-\d{4})?\b",
        rf"\b(?:{_STATE_CODES}),? \K\d{{5}}(?:-\d{{4}})?\b",
        rf"\b\d{{5}}(?:-\d{{4}})?\b(?<=(?:{any_of(STATES)}),?\s+\d{{5}}(?:-\d{{4}})?)",
        (
            r"\b(?:zip|post(?:al)?|plz|cap)[ -]?(?:code)?[\s:.]*(?:is )?\K"
            r"(?:\d{3} ?\d{2}|\d{3,5})(?:-\d{3,4})?\b"
        ),
        r"(?-i:\b(?:D|DE|A|AT|CH|F|NL|B|L|DK|PL)-\d{2}-?\d{2,3}\b)",
        r"(?-i:\b(?!T\dN\dM)[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d\b)",
        r"(?-i:\b\d{4} ?[A-Z]{2} \p{Lu}\p{Ll}+)",
        (
            r"(?-i:(?:^|[,\n])[ \t]*\K(?:\d{5}|\d{2}-\d{3}|\d{3} \d{2})"
            r" \p{Lu}\p{Ll}+(?:[ -]\p{Lu}\p{Ll}+){0,3})"
        ),
        (
            rf"\b(?:in|from|near|to) {_NO_NUMBER}{LOWERED}(?:[ -]{LOWERED}){{0,2}} "
            rf"\K(?!(?:19|20)\d\d\b)(?:\d{{4}}-\d{{3}}|\d{{3}} \d{{2}}|\d{{4,5}})\b{_QUANTITY}"
        ),
        rf"\b\d{{4,6}}\b(?<=(?:{any_of(COUNTRIES)}),?\s+\d{{4,6}})",
    )


class PlaceRecognizer(ContextRecognizer):
    """Countries and states of closed lists, also in capitals; unambiguous ones in lower case."""

    entity = "LOCATION"
    cue = AnyWord.of((*COUNTRIES, *STATES))
    expressions = (
        rf"(?-i:\b(?:{any_of((*COUNTRIES, *STATES))})\b)",
        rf"(?-i:\b(?:{any_of(tuple(name.upper() for name in (*COUNTRIES, *STATES)))})\b)",
        rf"\b(?:{any_of(tuple({*COUNTRIES, *STATES} - AMBIGUOUS - {'Congo', 'Guam', 'Utah'}))})\b",
    )


class ResidenceRecognizer(ContextRecognizer):
    """Places after "lives in", "moved to", "born in"; in lower case after "I live in"."""

    entity = "LOCATION"
    cue = re.compile(r"\b(?:in|to|from|of|In|To|From|IN|TO|FROM) [^\W\d_]")
    expressions = (
        (
            r"\b(?:(?:liv(?:es?|ed|ing)|born|raised|grew up|resid\w+|based|located|settled"
            r"|stay(?:s|ed|ing)?) in|(?:mov\w+|relocat\w+|travel\w*|fl[ey]\w+|return\w*|drove"
            r"|trip) (?:back )?(?:to|from)|(?:came|comes?|originally|arriv\w+) (?:from|in)"
            rf"|native of) \K(?!{_MONTH}\b)(?-i:(?=\p{{Lu}}[\p{{L}}'’-]+)){_CITY}"
        ),
        (
            r"\b(?:I|we|he|she|they) (?:live|lives|lived|was born|were born|grew up|am based) in "
            r"\K(?!(?:an?|the|my|our|his|her|their|this|that|one|two|fear|pain)\b)[\p{L}'’-]{4,}"
            r"(?=\s*[.,;!?]|\s+(?:and|with|but|since)\b|\s*$)"
        ),
    )


class PeopleRecognizer(ContextRecognizer):
    """Nationalities and creeds of closed lists, in the plural too."""

    entity = "NRP"
    cue = AnyWord.of(PEOPLES)
    expressions = (
        rf"(?-i:\b(?<!\b\d\d?[ -])(?:{any_of(PEOPLES)})s?\b)",
        rf"\b(?<!\b\d\d?[ -])(?:{any_of(tuple(set(PEOPLES) - AMBIGUOUS))})s?\b",
    )


RECOGNIZERS = (
    StreetAddressRecognizer,
    PostcodeRecognizer,
    PlaceRecognizer,
    ResidenceRecognizer,
    PeopleRecognizer,
)
