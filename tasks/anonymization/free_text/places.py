"""Closed public lists: countries and peoples (ISO 3166, usual English names), states, months.

Months of German, French, Spanish, Italian, Dutch and Portuguese are in `OTHER_MONTHS`.

Names of countries that are also common words stay in `AMBIGUOUS`: they count only where they are
capitalized. Cities are not listed: there are too many, and most are also surnames.
"""

from __future__ import annotations

from typing import Final


def _lines(*lists: str) -> tuple[str, ...]:
    """Split lists of names at their commas."""
    return tuple(name.strip() for names in lists for name in names.split(","))


COUNTRIES: Final = _lines(
    "Afghanistan, Albania, Algeria, American Samoa, Andorra, Angola, Anguilla, Antigua, Argentina",
    "Armenia, Aruba, Australia, Austria, Azerbaijan, Bahamas, Bahrain, Bangladesh, Barbados",
    "Belarus, Belgium, Belize, Benin, Bermuda, Bhutan, Bolivia, Bosnia and Herzegovina, Bosnia",
    "Botswana, Brazil, Brunei, Bulgaria, Burkina Faso, Burma, Burundi, Cambodia, Cameroon, Canada",
    "Cape Verde, Cayman Islands, Central African Republic, Chad, Chile, China, Colombia, Comoros",
    "Congo, Cook Islands, Costa Rica, Croatia, Cuba, Curacao, Cyprus, Czechia, Czech Republic",
    "Denmark, Djibouti, Dominica, Dominican Republic, East Timor, Ecuador, Egypt, El Salvador",
    "Equatorial Guinea, Eritrea, Estonia, Eswatini, Ethiopia, Faroe Islands, Fiji, Finland, France",
    "French Guiana, French Polynesia, Gabon, Gambia, Georgia, Germany, Ghana, Gibraltar, Greece",
    "Greenland, Grenada, Guadeloupe, Guam, Guatemala, Guernsey, Guinea-Bissau, Guinea, Guyana",
    "Haiti, Honduras, Hong Kong, Hungary, Iceland, India, Indonesia, Iran, Iraq, Ireland",
    "Isle of Man, Israel, Italy, Ivory Coast, Jamaica, Japan, Jersey, Jordan, Kazakhstan, Kenya",
    "Kiribati, Kosovo, Kuwait, Kyrgyzstan, Laos, Latvia, Lebanon, Lesotho, Liberia, Libya",
    "Liechtenstein, Lithuania, Luxembourg, Macao, Macau, Macedonia, Madagascar, Malawi, Malaysia",
    "Maldives, Mali, Malta, Marshall Islands, Martinique, Mauritania, Mauritius, Mayotte, Mexico",
    "Micronesia, Moldova, Monaco, Mongolia, Montenegro, Morocco, Mozambique, Myanmar, Namibia",
    "Nauru, Nepal, Netherlands, New Caledonia, New Zealand, Nicaragua, Nigeria, Niger, Niue",
    "North Korea, North Macedonia, Norway, Oman, Pakistan, Palau, Palestine, Panama",
    "Papua New Guinea, Paraguay, Peru, Philippines, Poland, Portugal, Puerto Rico, Qatar, Romania",
    "Russia, Rwanda, Samoa, San Marino, Saudi Arabia, Senegal, Serbia, Seychelles, Sierra Leone",
    "Singapore, Slovakia, Slovenia, Solomon Islands, Somalia, South Africa, South Korea",
    "South Sudan, Spain, Sri Lanka, Sudan, Suriname, Sweden, Switzerland, Syria, Taiwan",
    "Tajikistan, Tanzania, Thailand, Togo, Tonga, Trinidad and Tobago, Trinidad, Tunisia, Turkey",
    "Turkmenistan, Tuvalu, Uganda, Ukraine, United Arab Emirates, UAE, United Kingdom",
    "Great Britain, England, Scotland, Wales, Northern Ireland, United States of America",
    "United States, USA, Uruguay, Uzbekistan, Vanuatu, Vatican, Venezuela, Vietnam, Yemen, Zambia",
    "Zimbabwe, U.S.A., U.S., U.K.",
)
STATES: Final = _lines(
    "Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Delaware, Florida",
    "Hawaii, Idaho, Illinois, Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland",
    "Massachusetts, Michigan, Minnesota, Mississippi, Missouri, Montana, Nebraska, Nevada",
    "New Hampshire, New Jersey, New Mexico, New York, North Carolina, North Dakota, Ohio, Oklahoma",
    "Oregon, Pennsylvania, Rhode Island, South Carolina, South Dakota, Tennessee, Texas, Utah",
    "Vermont, Virginia, Washington, West Virginia, Wisconsin, Wyoming, Alberta, British Columbia",
    "Manitoba, New Brunswick, Newfoundland, Nova Scotia, Ontario, Quebec, Saskatchewan, Yukon",
    "New South Wales, Queensland, Tasmania, Bavaria, Saxony, Hesse, Brandenburg, Thuringia",
)
PEOPLES: Final = _lines(
    "Afghan, Albanian, Algerian, American, Angolan, Argentinian, Argentine, Armenian, Australian",
    "Austrian, Azerbaijani, Bahamian, Bahraini, Bangladeshi, Barbadian, Belarusian, Belgian",
    "Bolivian, Bosnian, Brazilian, British, Briton, Bruneian, Bulgarian, Burmese, Burundian",
    "Cambodian, Cameroonian, Canadian, Chadian, Chilean, Chinese, Colombian, Congolese",
    "Costa Rican, Croatian, Cuban, Cypriot, Czech, Danish, Dane, Dominican, Dutch, Ecuadorian",
    "Egyptian, Emirati, English, Eritrean, Estonian, Ethiopian, Fijian, Filipino, Finnish, Finn",
    "French, Gabonese, Gambian, Georgian, German, Ghanaian, Greek, Greenlander, Greenlandic",
    "Guatemalan, Guinean, Guyanese, Haitian, Honduran, Hungarian, Icelander, Icelandic, Indian",
    "Indonesian, Iranian, Iraqi, Irish, Israeli, Italian, Ivorian, Jamaican, Japanese, Jordanian",
    "Kazakh, Kenyan, Korean, Kosovar, Kurdish, Kurd, Kuwaiti, Laotian, Latvian, Lebanese",
    "Liberian, Libyan, Lithuanian, Luxembourger, Macedonian, Malagasy, Malawian, Malaysian",
    "Maldivian, Malian, Maltese, Mauritanian, Mauritian, Mexican, Moldovan, Mongolian",
    "Montenegrin, Moroccan, Mozambican, Namibian, Nepalese, Nepali, New Zealander, Nicaraguan",
    "Nigerian, Norwegian, Omani, Pakistani, Palestinian, Panamanian, Paraguayan, Peruvian, Polish",
    "Portuguese, Puerto Rican, Qatari, Romanian, Russian, Rwandan, Salvadoran, Samoan, Saudi",
    "Scottish, Scot, Senegalese, Serbian, Serb, Singaporean, Slovak, Slovene, Slovenian, Somali",
    "South African, Spanish, Spaniard, Sri Lankan, Sudanese, Surinamese, Swede, Swedish, Swiss",
    "Syrian, Taiwanese, Tajik, Tanzanian, Thai, Togolese, Tongan, Trinidadian, Tunisian, Turkish",
    "Turk, Turkmen, Ugandan, Ukrainian, Uruguayan, Uzbek, Venezuelan, Vietnamese, Welsh, Yemeni",
    "Zambian, Zimbabwean, Arab, Roma, Catholic, Protestant, Lutheran, Methodist, Baptist, Mormon",
    "Anglican, Jewish, Jew, Muslim, Hindu, Sikh, Buddhist, Jehovah's Witness",
)
MONTHS: Final = _lines(
    "January, February, March, April, May, June, July, August, September, October, November",
    "December, Jan, Feb, Mar, Apr, Jun, Jul, Aug, Sept, Sep, Oct, Nov, Dec",
)
OTHER_MONTHS: Final = _lines(
    "Januar, Jänner, Februar, März, Mai, Juni, Juli, Oktober, Dezember, janvier, février, mars",
    "avril, juin, juillet, août, septembre, octobre, novembre, décembre, enero, febrero, marzo",
    "abril, mayo, junio, julio, agosto, septiembre, octubre, noviembre, diciembre, gennaio",
    "febbraio, aprile, maggio, giugno, luglio, settembre, ottobre, dicembre, januari, februari",
    "maart, mei, augustus, janeiro, fevereiro, março, maio, junho, julho, setembro, outubro",
    "novembro, dezembro",
)
WEEKDAYS: Final = _lines("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
AMBIGUOUS: Final = frozenset(
    _lines(
        "Chad, China, Georgia, Guinea, Jersey, Jordan, Mali, Niger, Turkey, Wales, Polish, Finn",
        "Turk, Swede, Dane, Scot, Roma, Virginia, Washington, Maine, Jew, Panama, Cuba, Benin",
    )
)
