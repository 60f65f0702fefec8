"""Presidio recognizers of people and organizations by the words around their names.

Titles, roles ("Patient:"), kinship, phrases that introduce or address a person, initials; legal
forms and kinds of institution. A name without any of these is left to a language model and to
`unlisted_names.py`.
"""

from __future__ import annotations

import re

from tasks.anonymization.free_text.places import MONTHS, WEEKDAYS
from tasks.anonymization.free_text.recognizers import LINK, LOWERED, WORD, ContextRecognizer, any_of

_NAME = rf"{WORD}(?:[ \t]+(?:(?:{LINK})[ \t]+)?{WORD}){{0,3}}"
_TITLES = (
    r"mrs?|ms|miss|mx|dr|prof|professor|doctor|rev|reverend|sir|dame|lord|lady|capt|captain|sgt"
    r"|sergeant|lt|col|nurse|sister|father|judge|senator|herr|frau|monsieur|mme|madame|señora?"
)
_ROLES = (
    r"patient|pt|client|customer|user|employee|applicant|member|guest|contact|attn|name|surname"
    r"|physician|doctor|provider|surgeon|consultant|gp|pcp|therapist|midwife|carer|caregiver"
    r"|next of kin|guardian|insured|policyholder|sender|recipient|author|signed|director|producer"
    r"|directed by|written by|prepared by|reviewed by|dictated by|referred by|seen by|cc|from|to"
)
_KIN = (
    r"wife|husband|spouse|partner|son|daughter|mother|father|mom|mum|dad|brother|sister|aunt|uncle"
    r"|cousin|niece|nephew|grandmother|grandfather|grandma|grandpa|kid|child|friend|fianc[ée]e?"
    r"|colleague|neighbou?r|roommate|boss|manager"
)
# Capitalized words that follow such cues and are no names.
_NOBODY = (
    r"(?!(?:the|an?|i|we|you|he|she|it|they|this|that|no|not|none|all|any|sir|madam|team|there|male"
    r"|female|customer|support|everyone|hiring|colleagues?|and|or|is|was|has|had|who|unknown|yes"
    rf"|see|date|time|id|number|denies|reports|presents|states|please|thank|{any_of(WEEKDAYS)}"
    rf"|{any_of(MONTHS)})\b)"
)
# Words in lower case that follow "dr" and are no name, and that follow a name and are no surname.
_NOT_CALLED = r"(?:appoint|visit|office|told|said|says|order)|(?:will|when|to|in|at|for|on|of)\b"
_NOT_SURNAME = (
    r"(?:told|said|says|who|will|has|had|was|is|and|or|with|for|from|about|that|but|then|this|the|did"
    r"|does|can|also|still|now|today|again|changed|reported|reports|asked|called|agreed|agrees|came"
    r"|presents|presented|denies|denied|feels|felt|wants|needs|went|took|saw|seen|gave|states|stated"
    r"|recommended|recommends|prescribed|referred|advised|wrote|came|lives|lived|works)\b"
)
_FIRMS = (
    r"Inc|Ltd|Limited|LLC|LLP|PLC|GmbH|AG|KG|SARL|Oy|Corp|Corporation|Company|Group|Holdings"
    r"|Partners|Associates|Foundation|Institute|University|College|School|Hospital|Clinic|Center"
    r"|Centre|Bank|Trust|Agency|Industries|Solutions|Technologies|Pharmacy|Laborator(?:y|ies)"
    r"|Church|Orchestra|Society|Union|S\.?A\.?|[Ss]\.?[Rr]\.?[Ll]|S\.?p\.?A|HB|AB|B\.?V|N\.?V"
    r"|KGaA|OHG"
    r"|e\.V|mbH|Sons|S\.?L\.?U?|Sp\. z o\.o"
)


class PersonRecognizer(ContextRecognizer):
    """Names with their titles, after roles, kinship, and phrases that introduce or address."""

    entity = "PERSON"
    cue = re.compile(r"[^\W\d_]")
    expressions = (
        rf"\b(?:{_TITLES})\b\.?[ \t]+{_NOBODY}{_NAME}",
        r"\b(?:mr|mrs|ms|dr|prof)\.\s*[\p{L}'’-]{2,}(?-i: \p{Lu}[\p{L}'’-]+)?",
        (
            rf"(?-i:\b(?:mr|mrs|ms|dr|Mr|Mrs|Ms|Dr)) {_NOBODY}(?!{_NOT_CALLED})"
            rf"(?-i:\p{{Ll}}[\p{{L}}'’-]{{2,}}(?: (?!{_NOT_SURNAME})\p{{Ll}}{{3,}})?)"
        ),
        r"\b(?:pt|patient)\.? (?-i:(?!NPO|DNR|DNI|AOX|CPR|ICU|MRI)(?:\p{Lu}{3,}[ -]?){1,3})\b",
        rf"\b(?:{_ROLES})(?: name)?(?: is)?[ \t]*:[ \t]*\K{_NOBODY}{_NAME}",
        rf"\b(?:my|his|her|their|our|the|\w+['’]s) (?:\w+ )?(?:{_KIN}),?[ \t]+\K{_NOBODY}{_NAME}",
        rf"\bnames?(?: (?:is|was|are)|\?|:)[ \t]*(?:called )?\K{_NOBODY}{_NAME}",
        (
            r"\b(?:my|full|maiden|last|first|sur) ?name(?: is|'s|:)[ \t]+\K(?!not\b|on\b|the\b"
            r"|in\b)"
            r"[\p{L}'’.-]+(?: (?!and\b|i\b|on\b|in\b|is\b|with\b|my\b|from\b)[\p{L}'’-]{2,})?"
        ),
        r"\bpeople call (?:me|him|her) \K[\p{L}'’-]{2,}",
        (
            rf"\b(?:named|called|calls (?:me|him|her)|nicknamed|starring|signed by)[ \t]+\K"
            rf"{_NOBODY}{_NAME}"
        ),
        (
            rf"\b(?:dear|hi|hello|hey|attn\.?:?|c/o|regards,|sincerely,|thanks,|cheers,"
            rf"|wishes,|love,)"
            rf"\s+\K{_NOBODY}(?-i:(?=\p{{Lu}}\p{{Ll}}|\p{{Lu}}\.)){_NAME}"
        ),
        (
            rf"\b(?:I am|I'm|I’m|this is|speaking with|spoke (?:to|with)|shouted at|met"
            rf"|meets?|saw|visited|told|asked|thanked|talk(?:ed)? (?:to|with)|interview with"
            rf"|hello to"
            rf"|escalated to|assigned to|approved by|according to|on behalf of)(?<!spoke w)[ \t]+\K"
            rf"{_NOBODY}(?-i:(?=\p{{Lu}}\p{{Ll}}|\p{{Lu}}\.)){_NAME}"
        ),
        r"(?-i:\b\p{Lu}\.(?:[ ]?\p{Lu}\.)?[ ]?\p{Lu}[\p{Ll}'’-]{2,}(?:-\p{Lu}\p{Ll}+)?)",
        r"(?-i:\b\p{Lu}[\p{Ll}'’-]+,? \p{Lu}\.(?: \p{Lu}[\p{Ll}'’-]+))",
        r"(?-i:\b\p{Lu}{4,}, \p{Lu}\p{Ll}[\p{L}'’-]*(?: \p{Lu}\b\.?)?)",
        (
            r"(?-i:(?<![\p{L}.])\p{Ll}\. ?(?!(?:coli|aureus|difficile|pylori|albicans"
            r"|pneumoniae|and"
            r"|the|she|he|it|they|we|pt|patient|no|will|was|is|has|on|in|at|for|with)\b)\p{Ll}{4,})"
            r"(?=['’.,;:)]|\s|$)"
        ),
    )


class OrganizationRecognizer(ContextRecognizer):
    """Organizations by what their names end or begin with, and employers after "work for"."""

    entity = "ORGANIZATION"
    cue = re.compile(r"[^\W\d_a-z]")
    expressions = (
        (
            rf"(?-i:(?:\b(?:\d+ )?\p{{Lu}}[\p{{L}}'’&.-]*,? (?:(?:and|&|of)"
            rf" )?){{1,5}}(?:{_FIRMS}))\b\.?"
        ),
        (
            rf"(?-i:\b(?:University|College|Bank|Hospital|Institute|Ministry|Department|Church) of"
            rf" (?:the )?{WORD}(?: {WORD}){{0,2}})"
        ),
        (
            rf"\b(?:work(?:s|ed|ing)? (?:for|at)|employ(?:ed|er)(?: at| by|:)|company:"
            rf"|employer:)[ \t]+\K"
            rf"{_NOBODY}{_NAME}"
        ),
        (
            rf"(?<!\b(?:{_TITLES})\.? |, )(?-i:\b(?!{any_of((*WEEKDAYS, *MONTHS))}){LOWERED},"
            rf" {LOWERED} (?:and|&) {LOWERED}\b)"
        ),
    )


RECOGNIZERS = (PersonRecognizer, OrganizationRecognizer)
