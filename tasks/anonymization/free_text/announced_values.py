"""Presidio recognizers of what its own words announce: official numbers, accounts, passwords.

Presidio's recognizers ask a number for its form and its check digit. People mistype, invent and
mask numbers; where the word for one stands before it ("SSN", "codice fiscale", "mot de passe"),
neither is asked here, and the whole token is taken. So are the fields of records that were pasted
into a text (`"last_name": "li"`, `city=ulm`), whose values no sentence surrounds.

The words are English, German, French, Spanish and Italian, the languages of `tutela draft`. Not
found: what has no such word beside it, and a password that is one plain word without quotes.
"""

from __future__ import annotations

import re
from typing import Final

import regex  # type: ignore[import-untyped]
from presidio_analyzer import EntityRecognizer, RecognizerResult

from tasks.anonymization.free_text.recognizers import AnyWord, ContextRecognizer


def _words(*lists: str) -> tuple[str, ...]:
    """Split lists of words at their commas."""
    return tuple(word for words in lists for word in words.split(", "))


def _any(words: tuple[str, ...]) -> str:
    """Write an expression for any of the words, the longest first, spaces and signs left open."""
    longest = sorted(words, key=lambda word: (-len(word), word))
    written = [word.replace(" ", "[ _-]?").replace("'", "['’]?") for word in longest]
    return rf"{_LEFT}(?:{'|'.join(written)})s?\b"


_LEFT: Final = r"(?<![^\W_])"
# What may stand between the word and its value: "number", a verb, a sign; and quotation marks.
_BETWEEN: Final = "|".join(
    _words(
        r"numbers?, num\b, no\b\.?, nr\b\.?, n[°º], nummer, numéro, número, numero, card, code",
        r"id\b, details?, (?:string|attempt|value)\b, revealed, is\b, was\b, were\b, like, as\b",
        r"e\.g\.,?, [\"'](?=\s?[:=]), ist\b, lautet, est\b, es\b, è\b, era\b",
        r"ending (?:in|with), :, =, \#, \(",
    )
)
_LINK: Final = rf"(?:[\s_]*(?:{_BETWEEN}))*[\s:=\#]*[\"'“‘(]?\s?"
# A value has figures: groups of them, or a token with some. Masked ones count: *456, XXX-XX-2409.
_GROUP: Final = r"[*X\d]{1,10}|(?-i:[A-Z]{1,2}(?=[ ./-]{1,2}\d)|[A-Z]\b(?! ?[a-z]))"
_GROUPS: Final = (
    rf"(?=(?:[ ./-]{{0,2}}[*A-Z\d]){{5}})(?:{_GROUP})(?:[ ./-]{{1,2}}(?:{_GROUP})){{1,8}}(?![\w*])"
)
_CODE: Final = r"(?=[\w*./-]{4})(?=[^\s\"'’]*\d)(?:[\w*]+[-./_]{1,2}){0,8}[\w*]+"
_VALUE: Final = rf"(?=[\w*./ -]{{0,24}}\d\d)(?:{_GROUPS}|{_CODE})"


_SOCIAL = _words("ssn, social security, social security card, social security details")
_ABBREVIATIONS = _words(
    "NIR, NSS, DNI, NIE, NIF, CIF, CPF, PAN, TIN, ITIN, ATIN, EIN, NIN, NINO, CF, DL, UID, BSN",
    "AHV, IMEI, VIN",
)
_OFFICIAL = _words(
    "aadhaar, aadhar, voter id, tax id, tax number, tax reference, taxpayer id, taxpayer number",
    "national id, national insurance, passport, driver's license, drivers license, driver license",
    "driver's licence, driving licence, license plate, licence plate, medicare, medicaid, badge",
    "insurance, insurance policy, insurance member, insurance code, insurance id, patient id, pid",
    "employee id, user id, userid, member id, student id, tribal id, identification, mrn",
    "steuer id, steueridentifikationsnummer, steuernummer, sozialversicherungsnummer, svnr",
    "krankenkassennummer, versichertennummer, versicherungsnummer, ausweis, ausweisnummer",
    "personalausweis, personalausweisnummer, reisepass, reisepassnummer, passnummer, führerschein",
    "führerscheinnummer, aktenzeichen",
    "sécurité sociale, securite sociale, sécu, carte vitale, carte d'identité, passeport",
    "permis de conduire, numéro fiscal, numéro de dossier",
    "seguridad social, tarjeta sanitaria, documento de identidad, pasaporte, permiso de conducir",
    "carnet de conducir, carné de conducir, número de identificación",
    "codice fiscale, tessera sanitaria, carta d'identità, passaporto, patente, patente di guida",
    "partita iva",
)
_ACCOUNTS = _words(
    "iban, bic, swift, swift code, ifsc, ifsc code, sort code, routing, bank account, account",
    "acct, accnum, acc, checking, savings, upi, konto, kontonummer, bankverbindung, bankleitzahl",
    "blz, compte, compte bancaire, rib, cuenta, cuenta bancaria, conto, conto corrente",
)
_CARDS = _words(
    "credit card, debit card, payment card, bank card, card, visa, mastercard, amex, cvv, cvc",
    "kreditkarte, kreditkartennummer, kartennummer, carte bancaire, carte bleue, carte de crédit",
    "tarjeta, tarjeta de crédito, tarjeta de débito, carta di credito",
)
_SECRETS = _words(
    "password, passwd, passcode, pwd, passphrase, secret, secret key, api key, apikey, token",
    "passwort, kennwort, mot de passe, mdp, contraseña, clave, parola d'ordine",
)
_USERS = _words(
    "user, username, user name, user id, userid, login, login name, login id, handle, screen name",
    "benutzername, identifiant, usuario, nombre de usuario, utente, nome utente",
)


class SocialNumberRecognizer(ContextRecognizer):
    """Numbers of social security, in whatever form, behind the words for it."""

    entity = "US_SSN"
    cue = AnyWord.of(_SOCIAL)
    expressions = (rf"{_any(_SOCIAL)}{_LINK}\K{_VALUE}",)


class OfficialNumberRecognizer(ContextRecognizer):
    """Numbers of taxes, health insurance, passports and licences, behind the words for them."""

    entity = "RECORD_NUMBER"
    cue = AnyWord.of((*_OFFICIAL, *_ABBREVIATIONS))
    expressions = (
        rf"{_any(_OFFICIAL)}{_LINK}\K{_VALUE}",
        rf"(?-i:{_any(_ABBREVIATIONS)}){_LINK}\K{_VALUE}",
    )


class AccountRecognizer(ContextRecognizer):
    """Numbers of banks and accounts, of any length and check digit, behind the words for them."""

    entity = "IBAN_CODE"
    cue = AnyWord.of(_ACCOUNTS)
    expressions = (
        (
            rf"{_any(_ACCOUNTS)}{_LINK}\K(?:(?-i:[A-Z]{{2}}\d\d(?: ?[A-Z\d]{{2,4}}){{2,8}}\b)"
            rf"|(?=\S*\d\S*\d\S*\d){_VALUE})"
        ),
    )


class CardRecognizer(ContextRecognizer):
    """Numbers of payment cards, mistyped or masked, behind the words for them."""

    entity = "CREDIT_CARD"
    cue = AnyWord.of(_CARDS)
    expressions = (
        (
            rf"{_any(_CARDS)}(?: information)?{_LINK}\K(?=[*X\d][*X\d ./-]*\d\d)"
            rf"(?:{_GROUPS}|[*X\d]{{4,24}}(?!\w))"
        ),
    )


class PasswordRecognizer(ContextRecognizer):
    """Passwords and other secrets: quoted, or a token that is no plain word."""

    entity = "PASSWORD"
    cue = AnyWord.of((*_SECRETS, "pin", "login", "credentials"))
    expressions = (
        (
            rf"{_any(_SECRETS)}(?:[\"']?(?:[\s_]+\w+){{0,3}}\s*[:=]|{_LINK})\s*"
            r"(?:[\"'“‘`]\K[^\"'”’`\n]{3,64}(?=[\"'”’`])|[\"'“‘`]?\K"
            r"(?=\S*(?:\d|[!\#$%^*+=_@]|(?-i:\p{Ll}\p{Lu})))[^\s\"'”’`]{4,64}(?<![.,;:)]))"
        ),
        (
            r"@[\w-]+(?:\.[\w-]+)+[\"']? ?/ ?[\"']?\K(?=\S*\d|\S*[!\#$%])"
            r"[^\s\"'”’`]{4,64}(?<![.,;:)])"
        ),
        (
            rf"{_any(_SECRETS)}[\"']?\s*[:=]\s*\K(?!(?:none|null|n/a|yes|no|reset|required)\b)"
            r"[^\s\"'”’`,;&<>]{3,64}(?<![.:)])"
        ),
        rf"{_LEFT}pin\b(?: code)?{_LINK}\K\d{{4,8}}\b",
    )


class UserNameRecognizer(ContextRecognizer):
    """Names of accounts, behind the words for them: quoted, or a token that is no plain word."""

    entity = "USER_NAME"
    cue = AnyWord.of(_USERS)
    expressions = (
        (
            rf"{_any(_USERS)}{_LINK}"
            r"(?:(?<=[\"'“‘])\K[^\"'”’\n]{3,64}(?=[\"'”’])|\K(?=\w*[\d_]|\w+\.\w)[\w.-]{4,40}\b)"
        ),
    )


_WHOSE = _words(
    r"first, last, full, given, family, middle, maiden, sur, patient, customer, client, employee",
    r"user, holder, contact, mother, father, spouse, nick, display, account, owner, member",
    r"applicant, billing, shipping",
)
_NAMES = (
    rf"(?:(?:{'|'.join(_WHOSE)})[ _-]?)?name|fname|lname|(?:vor|nach|familien)name|pr[ée]nom"
    r"|nom|nombre|apellidos?|nome|cognome"
)
_TOWNS = (
    r"(?:[a-z]+_)?(?:city|town|county|state|province|country|birthplace|stadt|ort|wohnort|ville"
    r"|ciudad|citt[àa])"
)
_STREETS = (
    r"(?:[a-z]+_)?(?:street|address|addr|address_?line_?\d?|strasse|straße|anschrift|adresse|rue"
    r"|calle|direcci[óo]n|domicilio|via|indirizzo)(?:_\w+)?"
)
_CODES = (
    r"(?:[a-z]+_)?(?:zip|zip_?code|post_?code|postal_?code|plz|code_?postal|c[óo]digo_?postal|cap)"
)
_JOBS = r"job_?title|job|occupation|profession|position|beruf|métier|puesto|professione"


_FIELD: Final = re.compile(r"[^\W\d_][\"']?\s?[:=>]\s?[\w\"']")


def _field(names: str, value: str = r"[^\"'{}\[\]<>\n,;|=]{2,60}(?<!\s)") -> str:
    """Write the expression for a field's value: in a record, `key: "value"`, `key=value`, a tag."""
    return (
        rf"(?:^[ \t]*|[{{,;|(\[]\s*|[\"'<&?])(?:{names})(?:[\"']\s*[:=]\s*|\s*=>?\s*|>)[\"']?\K"
        rf"(?!null\b|none\b|n/a\b|true\b|false\b){value}"
    )


class FieldRecognizer(EntityRecognizer):
    """The fields of a record that was pasted into a text: names, places, postcodes, occupations.

    Their values need no capital and no length: the field says what they are.
    """

    cue = _FIELD
    expressions: Final = {
        "PERSON": _field(_NAMES),
        "LOCATION": _field(_TOWNS),
        "STREET_ADDRESS": _field(_STREETS, r"[^\"'{}\[\]<>\n;|=]{4,90}(?<!\s)"),
        "ZIP_CODE": _field(_CODES, r"[A-Z\d][A-Z\d -]{1,9}"),
        "JOB_TITLE": _field(_JOBS),
    }

    def __init__(self) -> None:
        self.compiled = {
            kind: regex.compile(expression, regex.IGNORECASE | regex.MULTILINE)
            for kind, expression in self.expressions.items()
        }
        super().__init__(supported_entities=list(self.expressions), supported_language="en")

    def load(self) -> None:
        """Do nothing: the expressions are compiled."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: object = None
    ) -> list[RecognizerResult]:
        """Give the fields' values; `entities` and `nlp_artifacts` are Presidio's, not needed."""
        del entities, nlp_artifacts
        return [
            RecognizerResult(kind, match.start(), match.end(), 0.9)
            for kind, pattern in self.compiled.items()
            for match in pattern.finditer(text)
        ]


RECOGNIZERS: Final = (
    SocialNumberRecognizer,
    OfficialNumberRecognizer,
    AccountRecognizer,
    CardRecognizer,
    PasswordRecognizer,
    UserNameRecognizer,
    FieldRecognizer,
)
