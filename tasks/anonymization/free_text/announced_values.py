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


def _words(*lists: str) -> str:
    """Write an expression for any of the words of some lists."""
    return "|".join(word for words in lists for word in words.split(", "))


# What may stand between the word and its value: "number", a verb, a sign; and quotation marks.
_BETWEEN: Final = _words(
    r"numbers?, num\b, no\b\.?, nr\b\.?, n[°º], nummer, numéro, número, numero, card, code, id\b",
    r"details?, (?:string|attempt|value)\b, revealed, is\b, was\b, were\b, like, as\b, e\.g\.,?",
    r"[\"'](?=\s?[:=]), ist\b, lautet, est\b, es\b, è\b, era\b, ending (?:in|with), :, =, \#, \(",
)
_LINK: Final = rf"(?:[\s_]*(?:{_BETWEEN}))*[\s:=\#]*[\"'“‘(]?\s?"
# A value has figures: groups of them, or a token with some. Masked ones count: *456, XXX-XX-2409.
_GROUP: Final = r"[*X\d]{1,10}|(?-i:[A-Z]{1,2}(?=[ ./-]{1,2}\d)|[A-Z]\b(?! ?[a-z]))"
_GROUPS: Final = (
    rf"(?=(?:[ ./-]{{0,2}}[*A-Z\d]){{5}})(?:{_GROUP})(?:[ ./-]{{1,2}}(?:{_GROUP})){{1,8}}(?![\w*])"
)
_CODE: Final = r"(?=[\w*./-]{4})(?=[^\s\"'’]*\d)(?:[\w*]+[-./_]{1,2}){0,8}[\w*]+"
_VALUE: Final = rf"(?=[\w*./ -]{{0,24}}\d\d)(?:{_GROUPS}|{_CODE})"
_LEFT: Final = r"(?<![^\W_])"


class SocialNumberRecognizer(ContextRecognizer):
    """Numbers of social security, in whatever form, behind the words for it."""

    entity = "US_SSN"
    expressions = (
        rf"{_LEFT}(?:ssns?|social[ _-]security(?:[ _](?:card|details))?)\b{_LINK}\K{_VALUE}",
    )


_ABBREVIATIONS = r"NIR|NSS|DNI|NIE|NIF|CIF|CPF|PAN|I?TIN|ATIN|EIN|NINO?|CF|DL|UID|BSN|AHV|IMEI|VIN"
_OFFICIAL = _words(
    r"aadhaa?r, voter[ _]id, tax(?:payer)?[ _](?:id|number|reference), national (?:id|insurance)",
    r"passports?, driv(?:er|ing)(?:['’]?s)?[ _]licen[cs]e, licen[cs]e plate, medicare, medicaid",
    r"insurance(?: (?:policy|member|code|id))?, patient[ _]id, pid, employee[ _]id, user[ _]?id",
    r"member[ _]id, student[ _]id, tribal id, identification, badge, mrn",
    r"steuer-?id\w*, steuernummer, sozialversicherungsn(?:umme)?r, svnr, krankenkassennummer",
    r"versicher(?:ten|ungs)n(?:umme)?r, (?:personal)?ausweis\w*, reisepass\w*, passnummer",
    r"führerschein\w*, aktenzeichen",
    r"s[ée]curit[ée] sociale, s[ée]cu, carte vitale, carte d['’]identit[ée], passeport",
    r"permis de conduire, num[ée]ro fiscal, num[ée]ro de dossier",
    r"seguridad social, tarjeta sanitaria, documento de identidad, pasaporte",
    r"(?:permiso|carn[ée]t) de conducir, n[úu]mero de identificaci[óo]n(?: fiscal)?",
    r"codice fiscale, tessera sanitaria, carta d['’]identit[àa], passaporto, patente(?: di guida)?",
    r"partita iva",
)
_ACCOUNTS = _words(
    r"iban, bic, swift(?: code)?, ifsc(?: code)?, sort code, routing, bank account, accounts?",
    r"acct, accnum, acc, checking, savings, upi, konto(?:nummer)?, bankverbindung, bankleitzahl",
    r"blz, compte(?: bancaire)?, rib, cuenta(?: bancaria)?, conto(?: corrente)?",
)
_CARDS = _words(
    r"(?:credit|debit|payment|bank)[ _]card, card, visa, mastercard, amex, cvv, cvc",
    r"kreditkarten?(?:nummer)?, kartennummer, carte (?:bancaire|bleue|de crédit)",
    r"tarjeta(?: de (?:crédito|débito))?, carta di credito",
)
_SECRETS = _words(
    r"passw(?:or)?ds?, passcode, passwd, pwd, passphrase, secret(?:[ _]key)?, api[ _-]?key, token",
    r"passwort, kennwort, mot de passe, mdp, contraseña, clave, parola d['’]ordine",
)
_USERS = _words(
    r"user[ _-]?(?:name|id)?, login(?: ?(?:name|id))?, handle, screen[ _]?name, benutzername",
    r"identifiant, (?:nombre de )?usuario, (?:nome )?utente",
)


class OfficialNumberRecognizer(ContextRecognizer):
    """Numbers of taxes, health insurance, passports and licences, behind the words for them."""

    entity = "RECORD_NUMBER"
    expressions = (rf"{_LEFT}(?:(?-i:{_ABBREVIATIONS})|{_OFFICIAL})\b{_LINK}\K{_VALUE}",)


class AccountRecognizer(ContextRecognizer):
    """Numbers of banks and accounts, of any length and check digit, behind the words for them."""

    entity = "IBAN_CODE"
    expressions = (
        (
            rf"{_LEFT}(?:{_ACCOUNTS})\b{_LINK}\K"
            rf"(?:(?-i:[A-Z]{{2}}\d\d(?: ?[A-Z\d]{{2,4}}){{2,8}}\b)|(?=\S*\d\S*\d\S*\d){_VALUE})"
        ),
    )


class CardRecognizer(ContextRecognizer):
    """Numbers of payment cards, mistyped or masked, behind the words for them."""

    entity = "CREDIT_CARD"
    expressions = (
        (
            rf"{_LEFT}(?:{_CARDS})\b(?: information)?{_LINK}\K(?=[*X\d][*X\d ./-]*\d\d)"
            rf"(?:{_GROUPS}|[*X\d]{{4,24}}(?!\w))"
        ),
    )


class PasswordRecognizer(ContextRecognizer):
    """Passwords and other secrets: quoted, or a token that is no plain word."""

    entity = "PASSWORD"
    cue = AnyWord.of(
        [
            "password",
            "passwort",
            "passwd",
            "pwd",
            "passcode",
            "passphrase",
            "kennwort",
            "mot",
            "mdp",
            "contraseña",
            "clave",
            "parola",
            "secret",
            "token",
            "pin",
            "api",
            "login",
            "credentials",
            "credential",
        ]
    )
    expressions = (
        (
            rf"{_LEFT}(?:{_SECRETS})\b(?:[\"']?(?:[\s_]+\w+){{0,3}}\s*[:=]|{_LINK})\s*"
            r"(?:[\"'“‘`]\K[^\"'”’`\n]{3,64}(?=[\"'”’`])|[\"'“‘`]?\K"
            r"(?=\S*(?:\d|[!\#$%^*+=_@]|(?-i:\p{Ll}\p{Lu})))[^\s\"'”’`]{4,64}(?<![.,;:)]))"
        ),
        (
            r"@[\w-]+(?:\.[\w-]+)+[\"']? ?/ ?[\"']?\K(?=\S*\d|\S*[!\#$%])"
            r"[^\s\"'”’`]{4,64}(?<![.,;:)])"
        ),
        (
            rf"{_LEFT}(?:{_SECRETS})[\"']?\s*[:=]\s*\K(?!(?:none|null|n/a|yes|no|reset|required)\b)"
            r"[^\s\"'”’`,;&<>]{3,64}(?<![.:)])"
        ),
        rf"{_LEFT}pin\b(?: code)?{_LINK}\K\d{{4,8}}\b",
    )


class UserNameRecognizer(ContextRecognizer):
    """Names of accounts, behind the words for them: quoted, or a token that is no plain word."""

    entity = "USER_NAME"
    cue = AnyWord.of(
        [
            "user",
            "username",
            "userid",
            "login",
            "handle",
            "screen",
            "screenname",
            "benutzername",
            "identifiant",
            "usuario",
            "nombre",
            "utente",
            "nome",
        ]
    )
    expressions = (
        (
            rf"{_LEFT}(?:{_USERS})\b{_LINK}"
            r"(?:(?<=[\"'“‘])\K[^\"'”’\n]{3,64}(?=[\"'”’])|\K(?=\w*[\d_]|\w+\.\w)[\w.-]{4,40}\b)"
        ),
    )


_WHOSE = _words(
    r"first, last, full, given, family, middle, maiden, sur, patient, customer, client, employee",
    r"user, holder, contact, mother, father, spouse, nick, display, account, owner, member",
    r"applicant, billing, shipping",
)
_NAMES = (
    rf"(?:(?:{_WHOSE})[ _-]?)?name|fname|lname|(?:vor|nach|familien)name|pr[ée]nom|nom|nombre"
    r"|apellidos?|nome|cognome"
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


_FIELD: Final = re.compile(r"[\w\"']\s?[:=>]\s?[\w\"']")


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
