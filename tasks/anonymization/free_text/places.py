"""Closed public lists of words that identify: countries, peoples, states, months, given names.

Countries and peoples are those of ISO 3166 with their usual English names. Names of countries that
are also common words stay in `AMBIGUOUS`: they count only where they are capitalized. Cities are
not listed: there are too many, and most are also surnames. Months of German, French, Spanish,
Italian, Dutch and Portuguese are in `OTHER_MONTHS`.

The list of given names was written for this project, of many countries. A given name says "person"
where a dictionary says "word" (Jacob, Elizabeth, Scott are in WordNet) and where nothing is written
with a capital. `WORDS_TOO` are names that are also English words or places: they count only where
their surroundings allow it. Rare names, and those of languages not written in Latin letters, are
not here; `unlisted_names.py` finds many of them.
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


OCCUPATIONS: Final = _lines(
    "accountant, actor, actress, actuary, administrator, advisor, adviser, advocate, agent, aide",
    "analyst, anesthetist, apprentice, architect, archivist, artist, assembler, assessor",
    "assistant, astronomer, attendant, attorney, auctioneer, auditor, author, baker, banker",
    "barber, barista, barrister, bartender, beautician, biochemist, biologist, boilermaker",
    "bookkeeper, bricklayer, broker, builder, butcher, buyer, carer, caretaker, caregiver",
    "carpenter, cashier, ceo, cfo, chancellor, chaplain, chauffeur, chef, chemist, chiropractor",
    "cinematographer, cleaner, clerk, coach, commissioner, composer, conductor, constable",
    "consultant, contractor, controller, cook, coordinator, copywriter, coroner, councillor",
    "counsellor, counselor, courier, craftsman, curator, custodian, dancer, dealer, dentist",
    "designer, detective, developer, diplomat, director, dispatcher, distributor, drafter",
    "dressmaker, driver, ecologist, economist, editor, educator, electrician, engineer, engraver",
    "estimator, examiner, executive, farmer, fighter, firefighter, fireman, fisherman, florist",
    "forester, fumigator, gardener, geographer, geologist, glazier, governor, grocer, guard",
    "hairdresser, handyman, historian, housekeeper, hygienist, illustrator, inspector, installer",
    "instructor, interpreter, interviewer, inventor, investigator, janitor, jeweler, jeweller",
    "joiner, journalist, judge, laborer, labourer, landscaper, lawyer, lecturer, librarian",
    "lifeguard, linguist, locksmith, logistician, machinist, magistrate, manager, manufacturer",
    "marketer, mason, mathematician, mayor, mechanic, mediator, merchandiser, merchant",
    "metallurgist, meteorologist, midwife, miller, miner, minister, model, musician, nanny",
    "negotiator, novelist, nurse, officer, operator, optician, optometrist, painter, paralegal",
    "paramedic, pastor, pharmacist, photographer, physicist, physiotherapist, pilot, planner",
    "plasterer, plumber, poet, policeman, policewoman, politician, porter, postman, postmaster",
    "principal, printer, producer, professor, programmer, prosecutor, psychologist",
    "psychotherapist, publisher, rabbi, radiographer, ranger, receptionist, recruiter, referee",
    "registrar, repairer, reporter, representative, researcher, roofer, sailor, salesman",
    "salesperson, saleswoman, scientist, sculptor, seamstress, secretary, sergeant, shepherd",
    "shoemaker, shopkeeper, singer, social worker, sociologist, soldier, solicitor, specialist",
    "statistician, stenographer, steward, stewardess, strategist, superintendent, supervisor",
    "surgeon, surveyor, tailor, teacher, technician, technologist, telemarketer, teller",
    "therapist, tiler, toolmaker, trader, trainer, translator, treasurer, tutor, typist",
    "undertaker, upholsterer, valuer, veterinarian, waiter, waitress, warden, watchmaker, weaver",
    "welder, woodworker, writer, zoologist",
)


def _names(*lists: str) -> frozenset[str]:
    """Split lists of names at their spaces."""
    return frozenset(name for names in lists for name in names.split())


GIVEN_NAMES: Final = _names(
    "aaron abdul abdullah abigail abraham adam adele adolfo adrian adriana adrienne agatha agnes",
    "ahmad ahmed aidan aileen aisha akira alan alana alastair albert alberto alejandra alejandro",
    "alessandra alessandro alexander alexandra alexandre alexandria alexei alexis alfie alfonso",
    "alfred alfredo alice alicia alina alison allan allison alma alvaro alyssa amadou amanda",
    "amelia amina amir amira amit amy anastasia anders andre andrea andreas andrei andres andrew",
    "angela angelina angelo angus anil anita anja anna annabel anne anneke annette annie anthony",
    "antje antoine anton antonia antonio archie ariana arjun armando arne arnold arthur arturo",
    "ashley ashok astrid audrey augusto aurelie ayesha barbara barnaby barney barry bartholomew",
    "beatrice beatriz becky belinda ben benedict benjamin benoit bernadette bernard bernd",
    "bernhard bertha bertram bettina betty bianca birgit bjorn blanca bogdan boris bradley",
    "brandon brenda brendan brian bridget brigitte britta brittany bruce bruno bryan bryce",
    "caitlin caleb callum cameron camila camille candice carina carl carla carlo carlos carlotta",
    "carmen caroline carolyn carsten cassandra catalina catarina caterina catherine cathy cecil",
    "cecilia cedric celia cesar chantal charlene charles charlie charlotte cheryl chiara chloe",
    "chris christa christina christine christoph christophe christopher cindy claire clara",
    "clarence clarissa claude claudia claudio clemens clifford clint clyde colette colleen connor",
    "conrad consuelo corey corinna corinne cornelia cornelius cristina curtis cynthia cyril",
    "dagmar damian daniel daniela daniele danielle danny daphne darius darlene darrell darren",
    "dave david deborah debra deepak deirdre delia delphine denise dennis derek desmond detlef",
    "devin dexter diana diane diego dieter dietmar dirk dmitri dmitry dolores dominic dominik",
    "dominique donald donna dora doreen doris dorothea dorothy douglas duncan dustin dwayne",
    "dwight dylan eddie edgar edith edmund eduardo edward edwin eileen elaine eleanor elena",
    "eleonora elias elijah elina elisa elisabeth elise eliza elizabeth elke ella ellen eloise",
    "elsa elsie elvira emanuel emil emilia emiliano emilie emilio emily emma emmanuel enrico",
    "enrique eric erica erich erik erika erin ernesto ernst erwin esmeralda esperanza esteban",
    "estelle esther ethan ethel etienne eugene eugenia eva evan evelyn ezra fabian fabio fabrice",
    "farid fatima fatma federica federico felicia felipe felix ferdinand fernanda fernando filip",
    "fiona flavia florian frances francesca francesco francine francisca francisco francois",
    "francoise frankie franz fred freddie frederic frederick frederik freya frida friedrich fritz",
    "gabriel gabriela gabriele gabrielle gareth garry gary gavin gemma geoffrey george georgina",
    "gerald geraldine gerard gerardo gerhard gertrude giacomo gianluca gianni gilbert gillian",
    "gina giorgio giovanna giovanni gisela giulia giulio giuseppe gladys glenda glenn gonzalo",
    "gordon graciela graham greg gregor gregory greta grzegorz guadalupe guido guillaume",
    "guillermo gunnar gunther gustav gustavo gwen gwendolyn hamza hanna hannah hans harold",
    "harriet harrison harry hasan hassan hector heidi heike heinrich heinz helen helena helene",
    "helga helmut hendrik henri henriette henrik henry herbert herman hermann hilary hilda",
    "hiroshi horst howard hubert hugo humberto hussein ian ibrahim ida ignacio igor ilse imogen",
    "ines inga inge ingeborg ingo ingrid irene irina irma isaac isabel isabella isabelle isaiah",
    "ismail ivan ivana ivar jaap jackie jackson jacob jacqueline jacques jaime jakob jakub jamal",
    "james jamie jana jane janet janice janina jason javier jeanette jeanne jeff jeffrey jelena",
    "jenna jennifer jenny jens jeremy jerome jerry jesse jessica jessie jesus jill jim jimmy joan",
    "joanna joanne joao joaquin jochen joel johan johann johanna johannes john johnny jon jonas",
    "jonathan jorg jorge jose josef joseph josephine joshua josie juan juana juanita judith judy",
    "julia julian juliana julie juliet juliette julio julius jurgen justin justine kamal karen",
    "karim karin karina karl karla karolina karoline karsten katarina katarzyna kate katerina",
    "katharina katherine kathleen kathryn kathy katie katja katrin katrina kayla keith kelly",
    "kelsey kenneth kerry kevin khaled khalid kimberly kirsten klara klaus konrad konstantin",
    "kristen kristian kristin kristina krzysztof kumar kurt kyle larissa larry lars latoya laura",
    "lauren laurence laurent laurie leah leandro leila lena leo leon leona leonard leonardo",
    "leonie leopold leroy leslie leticia liam lidia liliana lillian linda lindsay lindsey lionel",
    "lisa lloyd logan lois lola lorenzo loretta lorna lorraine lothar louis louisa louise luca",
    "lucas lucia luciana luciano lucie lucille lucy ludwig luigi luis luisa lukas luke lydia lynn",
    "maddie madeleine madeline magdalena maggie magnus mahmoud malcolm malik mandy manfred manuel",
    "manuela marc marcel marcela marcelo marcin marco marcos marcus margaret margot marguerite",
    "maria mariana marianne maribel marie marilyn mario marion marissa marjorie marko markus",
    "marlene marta martha martin martina marvin mary mateo mathias mathieu mathilde matilda",
    "matteo matthew matthias maureen maurice mauricio maxime maximilian maxwell megan mehmet",
    "melanie melinda melissa mercedes meredith mia micah michael michaela michal micheal michel",
    "michele michelle miguel mikael mike mikhail mildred milena milos miranda miriam mitchell",
    "mohamed mohammad mohammed moira mona monica monika monique morgan moritz moses muhammad",
    "muriel mustafa myra nadia nadine nancy naomi natalia natalie natasha nathalie nathan",
    "nathaniel neil nelson nicholas nicola nicolas nicole niels nigel nikita nikola nikolai",
    "nikolaus nils nina noah noel noelle noemi nora norbert noreen norma norman octavia odette",
    "olaf oleg olga oliver olivia olivier omar orlando oscar oskar osman otto pablo pamela paola",
    "paolo pascal patrice patricia patrick patrik paul paula paulina pauline paulo pavel pedro",
    "peggy penelope perry peter petra philip philippa philippe phillip phoebe phyllis pierre",
    "pieter pilar piotr priscilla priya quentin rachel rafael rahul rainer rajesh ralf ralph",
    "ramon ramona randall raphael raquel rashid raul ravi raymond rebecca regina reinhard renata",
    "renate rene renee ricardo riccardo richard rita robert roberta roberto robyn rodney rodolfo",
    "rodrigo roger roland rolf romina ron ronald rosa rosalind rosanna rosario rosemarie ross",
    "roxanne ruben rudolf rudolph rupert russell ruth ryan sabine sabrina salma salvador",
    "salvatore sam samantha samir samuel sandra sanjay santiago sara sarah sascha sasha scott",
    "sean sebastian selena selina serena serge sergei sergio seth shannon sharon shaun shawn",
    "sheila shelley shirley siegfried sigrid silke silvia simon simona simone sofia sofie solange",
    "sonia sonja sophia sophie stacey stacy stanislav stanley stefan stefania stefanie stella",
    "stephan stephanie stephen steve steven stuart sunil sunita susan susana susanna susanne",
    "suzanne svein sven svetlana sylvia sylvie tamara tania tanja tanya tara tariq tatiana",
    "tatjana ted teresa terrence terry thelma theo theodor theodore theresa therese thierry",
    "thomas thorsten tiffany tim timothy tina tobias todd tom tomas tomasz tommy tony tonya",
    "torsten tracey tracy trevor tristan ulrich ulrike ursula uwe valentina valeria valerie",
    "vanessa verena veronica veronika vicente vicki vicky victoria vijay vikram viktor viktoria",
    "vincent vincenzo virginie vivian viviana vivien vladimir walter waltraud wanda wendy werner",
    "wilfred wilhelm willem william willie wilma wojciech wolfgang xavier ximena yasmin yolanda",
    "yoshi youssef yuki yuri yusuf yvette yvonne zachary zainab zoe zoltan zuzana",
)
WORDS_TOO: Final = _names(
    "alba alec amber ana angel angelica aurora austin basil bill billy bob bonnie brad brook",
    "brooke buddy carol carter celeste chad chase chelsea christian christy clay clementine cliff",
    "colin constance crystal curt daisy dale dallas dan dawn destiny dick dolly don dong drew",
    "earl ebony eden eve faith fay felicity florence frank gay gene georgia ginger glen gloria",
    "grace grant guy hank harmony hazel heath heather holly homer hope hunter india iris ivy jack",
    "jade jan jasmine jay jean jewel joe josh joy kai ken kim lance laurel lee lily lou luna",
    "madison margarita marina mark marshall matt max maya melody mercy milan miles milo minh",
    "myrtle nick olive paige parker pat patience pearl penny pete phil pierce pip randy ray reed",
    "rex rob robin rocky roman rose rosemary roy ruby rusty sally sandy savannah serenity sherry",
    "sid sidney sue sunny taylor trinity troy tucker tyler vera victor viola violet wade warren",
    "wayne will willow",
)
