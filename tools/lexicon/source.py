"""Data that the lexicon's sources lack: adjectives of countries, aliases, closed classes.

It is written by hand and read by `tools.lexicon.build` only, never at run time.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


__all__ = [
    "ALIASES",
    "BOTH_GENDERS",
    "CLASSES",
    "DEMONYMS",
    "UNISEX_NAMES",
    "WELL_KNOWN",
    "WORDY_NAMES",
]

#: ISO code -> adjective; after a slash the plural noun where it is not adjective + "s".
DEMONYMS = """
AF Afghan|AL Albanian|DZ Algerian|AD Andorran|AO Angolan|AG Antiguan|AR Argentinian|AM Armenian
AU Australian|AT Austrian|AZ Azerbaijani|BS Bahamian|BH Bahraini|BD Bangladeshi|BB Barbadian
BY Belarusian|BE Belgian|BZ Belizean|BJ Beninese/-|BT Bhutanese/-|BO Bolivian|BA Bosnian
BR Brazilian|BN Bruneian|BG Bulgarian|BI Burundian|KH Cambodian|CM Cameroonian|CA Canadian
TD Chadian|CL Chilean|CN Chinese/-|CO Colombian|KM Comorian|CG Congolese/-|CR Costa Rican
HR Croatian|CU Cuban|CY Cypriot|CZ Czech|DK Danish/Danes|DJ Djiboutian|EC Ecuadorian|EG Egyptian
SV Salvadoran|ER Eritrean|EE Estonian|ET Ethiopian|FJ Fijian|FI Finnish/Finns|FR French/-
GA Gabonese/-|GM Gambian|GE Georgian|DE German|GH Ghanaian|GR Greek|GD Grenadian|GT Guatemalan
GN Guinean|GY Guyanese/-|HT Haitian|HN Honduran|HU Hungarian|IS Icelandic/Icelanders|IN Indian
ID Indonesian|IR Iranian|IQ Iraqi|IE Irish/-|IL Israeli|IT Italian|JM Jamaican|JP Japanese/-
JO Jordanian|KZ Kazakh|KE Kenyan|KW Kuwaiti|KG Kyrgyz/-|LA Laotian|LV Latvian|LB Lebanese/-
LR Liberian|LY Libyan|LT Lithuanian|LU Luxembourgish/Luxembourgers|MG Malagasy/-|MW Malawian
MY Malaysian|MV Maldivian|ML Malian|MT Maltese/-|MR Mauritanian|MU Mauritian|MX Mexican
MD Moldovan|MN Mongolian|ME Montenegrin|MA Moroccan|MZ Mozambican|MM Burmese/-|NA Namibian
NP Nepalese/-|NL Dutch/-|NI Nicaraguan|NG Nigerian|KP North Korean
NO Norwegian|OM Omani|PK Pakistani|PA Panamanian|PG Papua New Guinean|PY Paraguayan|PE Peruvian
PH Filipino|PL Polish/Poles|PT Portuguese/-|QA Qatari|RO Romanian|RU Russian|RW Rwandan|WS Samoan
SA Saudi|SN Senegalese/-|RS Serbian|SC Seychellois/-|SL Sierra Leonean|SG Singaporean|SK Slovak
SI Slovenian|SO Somali|ZA South African|KR South Korean|SS South Sudanese/-|ES Spanish/Spaniards
LK Sri Lankan|SD Sudanese/-|SR Surinamese/-|SE Swedish/Swedes|CH Swiss/-|SY Syrian|TW Taiwanese/-
TJ Tajik|TZ Tanzanian|TH Thai|TG Togolese/-|TO Tongan|TT Trinidadian|TN Tunisian|TR Turkish/Turks
TM Turkmen/-|UG Ugandan|UA Ukrainian|AE Emirati|GB British/Britons|US American|UY Uruguayan
UZ Uzbek|VE Venezuelan|VN Vietnamese/-|YE Yemeni|ZM Zambian|ZW Zimbabwean
"""

#: ISO code -> other names of the country.
ALIASES = {
    "US": ["the United States of America", "USA", "U.S.A.", "U.S.", "US", "America", "the States"],
    "GB": ["UK", "U.K.", "Britain", "Great Britain"],
    "AE": ["UAE", "Emirates"],
    "RU": ["Russian Federation"],
    "CN": ["People's Republic of China", "PRC"],
    "KR": ["Republic of Korea", "Korea"],
    "KP": ["DPRK"],
    "CZ": ["Czech Republic", "Czechia"],
    "NL": ["Holland", "Netherlands"],
    "MM": ["Burma"],
    "CI": ["Cote d'Ivoire"],
    "IR": ["Persia"],
    "TR": ["Turkey", "Türkiye"],
    "SZ": ["Swaziland"],
    "CV": ["Cape Verde"],
    "TL": ["East Timor"],
    "MK": ["Macedonia"],
    "CD": ["DRC", "DR Congo"],
    "VA": ["Holy See"],
    "DE": ["Deutschland"],
}

#: Names of people that are everyday words too: proof from their neighbours is asked for.
WORDY_NAMES = words(
    """
    ace amber angel april arch archer art aspen aubrey august autumn baker banks baron bay beau
    berry bill birch bishop blaine blaze bliss bond brand brandy brook brooks buck bud bush butler
    candy carol case cash cat chance charity chase chip christian church clay cliff coast cole colt
    cook cooper coral cotton crane crew crystal dale daisy dawn day dean dean denver destiny diamond
    dick divine dolly dot drew duke dusty early east easter ebony echo eden ember english eve ever
    faith fall fern field fields finch fisher flint flora ford forest forrest foster fox france
    francs frank french frost gale game gates gay gem gene genesis german gift ginger glen glory
    golden good grace grand grant gray green grey grove guy hale hall happy harbor harmony haven
    hazel heart heath heather heaven henna hill holiday holly holmes honey hope house howard hunt
    hunter ida iris ivory ivy jack jade jay jean jersey jet jewel john jordan joy judge jules july
    june justice karma kay kelvin kerry kid king kitty knight lake lance land lane lark laurel lee
    legend liberty light lily lincoln lion little lord lotus love lucky lyric mac madonna mae major
    man march mark marine mark marsh marshall mason master max may mayor meadow mercedes mercy merit
    merry mike miles miller mills mind mint miracle misty money moon moore morning moss mount nail
    nash nick noble noon norm north nova oak ocean olive opal orange page paige palm paris park
    parker parks passion pat patience patsy payne peace pearl penny pepper peter phoenix piper pitt
    poe poet pole pool poppy porter power precious price pride prince princess prosper queen quest
    rain ranger ray raven red reed reef reese reid remedy rex rice rich ridge river rivers robin
    rock rocky rod roman root rose rosemary ruby rush rusty sable sage sailor saint salem sand sandy
    savanna savannah scarlet scout sea sharp shelby shepherd sierra silver sky slate smith snow
    sonny south spencer spring star stark steel stella sterling stone storm story street strong sue
    summer summers sun sunny swan sweet taylor teal temple terry tiger tony town true trinity troy
    tucker turner van venus vera verity vest victor victory viola violet virginia wade walker wall
    ward warner warren water waters way weaver webb wells west whisper white wild will willow wind
    winter wise wolf wood woods woody wren yale yard york young zion china india asia africa georgia
    chad sydney austin dallas houston madison carolina dakota montana cameron kenya israel denver
    boston brooklyn memphis chelsea florence vienna victoria milan sofia valencia lima cairo
    lorraine chile santiago sharm said ali so an do le la de mi no my on in at by of or to us me he
    you we it is as if be am are was has had may can the and but for not all any out day see two now
    old new get let put say she too use man santa lama amen isa eden monday tuesday wednesday
    thursday friday saturday sunday january february september october november december english
    latin greek arabic japanese spanish messiah lux iman arian sultan prophet bell buddy missy baby
    babe daddy mama papa sir madam napoleon caesar cicero virgil homer plato
    cleopatra augustus titus nero constantine attila
    romulus ulysses hercules achilles hector ajax adonis elvis hamlet romeo othello horace solomon
    jesus christ moses mohammed muhammad buddha allah alexa siri
    cortana satan zeus apollo thor hermes mars jupiter saturn mercury pluto israel salem adam
    bella luna aurora pearl mona lisa mister doctor nurse doc honor honour happiness alpha beta
    gamma delta omega marco polo rally mitra dong sing song long wing yang yin ming ping ting hang
    sang tang bang gang rang kang
    """
)

#: Names that are given to girls and boys alike, regardless of what one list says.
BOTH_GENDERS = words(
    """
    alex alexis ashley aubrey avery bailey beverly billie blair bobbie cameron carey carmen casey
    charlie chris cody corey courtney dakota dana darcy devon devin drew emerson finley
    frankie harley hayden hilary hillary jackie jaime jamie jan jean jesse jessie jo jody
    jordan jules kai kelly kerry kim kris lane laurie lee leigh leslie
    lesley lindsay lindsey lou lynn mackenzie marion meredith micah mickey morgan nat
    noel parker pat peyton phoenix quinn randy reese regan remy riley robbie robin rory
    rowan sacha sam sammy sandy sasha shannon shawn shelby shelley sidney skyler
    stacey stacy stevie sydney taylor terry tracy val valentine vivian
    whitney willie yael
    """
)
#: First names of other languages that English texts know from well-known people.
WELL_KNOWN = {
    "m": """
    Adolf Alfred Alois Amadeus André Anton Antoine Antonín Aristide Arturo Auguste Bashar Barack
    Benito Benjamin Bertolt Boris Camille Carlo Charles Che Claude Claudio Cristiano Dante Denis
    Deng Diego Dmitri Dmitry Edgar Édouard Edvard Émile Emmanuel Enrico Ernesto Erwin Étienne Eugène
    Evo Federico Felix Ferdinand Fernando Fidel Filippo Franz François Frédéric Friedrich Fyodor
    Gabriel Galileo Gamal Georges Gerhard Giacomo Giorgio Giovanni Giuseppe Gregor Guglielmo Gustav
    Gustave Hans Hector Heinrich Helmut Henri Hermann Hideki Honoré Horst Hugo Igor Immanuel Ingmar
    Isaac Ivan Jacques Jacob Javier Jawaharlal Jorge José Josef Johann Johannes Juan Jules Julius
    Jürgen Karl Kofi Konrad Lech Leonardo Leonid Leopold Lionel Louis Luca Luciano Ludwig Luigi Luis
    Mahatma Mahmoud Mao Marcel Mario Max Miguel Mikhail Mohandas Mustafa Narendra Nelson Nicolas
    Niels Nikita Nikola Nikolai Octavio Oskar Osama Otto Pablo Paolo Pedro Pierre Pietro Placido
    Pyotr Rabindranath Rafael Rembrandt René Ricardo Roald Robespierre Roberto Roman Rudolf Saddam
    Salvador Sandro Sergei Shinzo Sigmund Silvio Simón Slobodan Stanislav Sun Sviatoslav Tito
    Theodor Umberto Václav Vasily Victor Viktor Vincent Vladimir Volodymyr Werner Wilhelm Winston
    Wladyslaw Wolfgang Xi Yasser Yitzhak Yuri Zinedine
    """,
    "f": """
    Agatha Anaïs Anna Anne Aretha Aung Ayn Benazir Brigitte Charlotte Coretta Dolores Dorothea
    Édith Eleanor Elena Emmeline Eva Evita Frida Gabriela Georgia Greta Hannah Harriet Hedy Helena
    Indira Ingrid Isabel Isadora Jane Joséphine Käthe Lucrezia Malala Margot Margrethe Maria Marie
    Martina Mata Mileva Monica Nadia Nefertiti Oprah Rosa Rosalind Sappho Serena Simone Sofia Sonia
    Sylvia Tamara Toni Ursula Valentina Venus Virginia Wangari Yoko Zaha Zora
    """,
}
#: Closed classes for answers that are given (question-context-answer rows only).
CLASSES = {
    "river": (
        "Danube|Rhine|Volga|Mekong|Ganges|Indus|Yangtze|Niger|Zambezi|Orinoco|Paraná|Yukon|Loire|"
        "Tagus|Vistula|Dnieper|Irtysh|Lena|Ob|Euphrates|Tigris|Murray|Mackenzie|Limpopo|Elbe|"
        "Amazon|Nile|Mississippi|Missouri|Colorado|Rio Grande|Congo"
    ),
    "ocean": "Atlantic|Pacific|Indian|Arctic|Southern",
    "continent": "Asia|Africa|Europe|North America|South America|Australia|Antarctica",
    "planet": "Mercury|Venus|Mars|Jupiter|Saturn|Uranus|Neptune",
    "desert": "Gobi|Kalahari|Sonoran|Mojave|Atacama|Karakum|Namib|Thar|Negev|Sahara|Arabian|Syrian",
    "island": (
        "Madagascar|Sumatra|Java|Honshu|Luzon|Sulawesi|Newfoundland|Mindanao|Hokkaido|Sakhalin|"
        "Tasmania|Sardinia|Sicily|Corsica|Crete|Cyprus|Borneo|Greenland|Majorca|Malta|Rhodes"
    ),
    "lake": (
        "Lake Huron|Lake Erie|Lake Ontario|Lake Victoria|Lake Tanganyika|Lake Baikal|Lake Malawi|"
        "Lake Ladoga|Lake Titicaca|Lake Geneva|Lake Superior|Lake Michigan"
    ),
    "mountain": (
        "Mount Kenya|Mount Elbrus|Mount Fuji|Mount Cook|Mount Olympus|Mount Ararat|Mount Rainier|"
        "Mount Etna|Mount Vesuvius|Mount Hood|Mount Logan|Mount Teide"
    ),
    "animal": (
        "Giraffe|Zebra|Kangaroo|Leopard|Gorilla|Tiger|Antelope|Donkey|Llama|"
        "Elephant|Camel|Bear|Horse|Yak"
    ),
    "currency": "Won|Baht|Rupee|Peso|Krone|Ringgit|Dinar|Lira|Rand|Shekel|Yuan|Yen|Forint|Zloty",
    "empire": (
        "Roman Empire|Persian Empire|Byzantine Empire|Russian Empire|Spanish Empire|Ottoman Empire|"
        "British Empire|Mongol Empire|Mughal Empire|Portuguese Empire|Safavid Empire"
    ),
    "museum": (
        "Museo del Prado|National Gallery|British Museum|Rijksmuseum|Uffizi Gallery|"
        "Hermitage Museum|Art Institute of Chicago|Tate Modern|Metropolitan Museum of Art"
    ),
    "waterfall": "Niagara Falls|Victoria Falls|Yosemite Falls|Gullfoss Falls|Iguazu Falls",
    "rainforest": (
        "Daintree Rainforest|Tongass Rainforest|Valdivian Rainforest|Sinharaja Rainforest|"
        "Congo Rainforest|Amazon Rainforest"
    ),
    "nation": "England|Scotland|Wales|Northern Ireland",
    "prize": "Literature|Physics|Chemistry|Medicine|Economics|Peace",
    "people": "Aztecs|Incas|Toltecs|Olmecs|Zapotecs|Mixtecs|Moche|Chimu",
    "ship": "RMS Titanic|RMS Lusitania|USS Constitution|HMS Victory|HMS Bounty|Mary Rose|SS Arctic",
    "operation": (
        "Operation Overlord|Operation Market Garden|Operation Torch|Operation Husky|"
        "Operation Dragoon|Operation Varsity|Operation Avalanche"
    ),
    "war": (
        "Crimean War|Boer War|Napoleonic Wars|Winter War|Gulf War|Balkan Wars|Korean War|"
        "Peninsular War|French Revolution|Russian Revolution|October Revolution"
    ),
    "plant": "Chernobyl|Fukushima Daiichi|Three Mile Island|Sellafield|Calder Hall|Windscale",
    "landmark": (
        "Great Wall of China|Petra|Great Pyramids|Stonehenge|Colosseum|Parthenon|Alhambra|"
        "Hagia Sophia|Angkor Wat|Berlin Wall|Hadrian's Wall|Washington Monument|"
        "Lincoln Memorial|Jefferson Memorial"
    ),
    "state": (
        "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
        "Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|"
        "Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|"
        "New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|"
        "Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
        "West Virginia|Wisconsin|Wyoming"
    ),
}

#: First names of women and men alike: substitutes for a name whose gender is not known.
UNISEX_NAMES = words(
    """
    Alex Alexis Casey Chris Cody Frankie Jaime Jamie Jesse Jessie Jody Kerry Kim Kris Leslie
    Lesley Marion Robbie Sam Shannon Stacey Tracy Terry Charlie Kelly Bobbie Jackie
    """
)
