"""Real facts that the pocket model learns by heart, best known first.

Written by hand for this project. Each table is `subject: object` pairs, one
relation each, split at semicolons. The tables have only facts that do not change from
year to year. A city whose name has several spellings has that of English-language
atlases.
"""

from __future__ import annotations

from typing import Final

_CAPITALS: Final = """
France: Paris; Germany: Berlin; Italy: Rome; Spain: Madrid; Japan: Tokyo; China: Beijing;
Russia: Moscow; India: New Delhi; Egypt: Cairo; Greece: Athens; Portugal: Lisbon;
Austria: Vienna; Poland: Warsaw; Sweden: Stockholm; Norway: Oslo; Denmark: Copenhagen;
Finland: Helsinki; Ireland: Dublin; Belgium: Brussels; Hungary: Budapest; Canada: Ottawa;
Australia: Canberra; Brazil: Brasilia; Argentina: Buenos Aires; Mexico: Mexico City; Peru: Lima;
Chile: Santiago; Cuba: Havana; Colombia: Bogota; Venezuela: Caracas; Ecuador: Quito;
Uruguay: Montevideo; Paraguay: Asuncion; the United Kingdom: London; the Netherlands: Amsterdam;
the United States: Washington; the Philippines: Manila; the Czech Republic: Prague;
Turkey: Ankara; Iran: Tehran; Iraq: Baghdad; Syria: Damascus; Lebanon: Beirut; Jordan: Amman;
Saudi Arabia: Riyadh; Qatar: Doha; Oman: Muscat; Yemen: Sanaa; Afghanistan: Kabul;
Pakistan: Islamabad; Nepal: Kathmandu; Bangladesh: Dhaka; Thailand: Bangkok; Vietnam: Hanoi;
Cambodia: Phnom Penh; Laos: Vientiane; Malaysia: Kuala Lumpur; Mongolia: Ulaanbaatar;
South Korea: Seoul; North Korea: Pyongyang; Kenya: Nairobi; Ethiopia: Addis Ababa;
Ghana: Accra; Senegal: Dakar; Morocco: Rabat; Algeria: Algiers; Tunisia: Tunis; Libya: Tripoli;
Sudan: Khartoum; Uganda: Kampala; Rwanda: Kigali; Zambia: Lusaka; Zimbabwe: Harare;
Angola: Luanda; Namibia: Windhoek; Botswana: Gaborone; Mozambique: Maputo;
Madagascar: Antananarivo; Mali: Bamako; Nigeria: Abuja; Somalia: Mogadishu; Romania: Bucharest;
Bulgaria: Sofia; Serbia: Belgrade; Croatia: Zagreb; Slovenia: Ljubljana; Slovakia: Bratislava;
Albania: Tirana; Ukraine: Kyiv; Belarus: Minsk; Lithuania: Vilnius; Latvia: Riga;
Estonia: Tallinn; Iceland: Reykjavik; Georgia: Tbilisi; Armenia: Yerevan; Azerbaijan: Baku;
Uzbekistan: Tashkent; New Zealand: Wellington; Jamaica: Kingston; Haiti: Port-au-Prince;
Guatemala: Guatemala City; Honduras: Tegucigalpa; Nicaragua: Managua; Panama: Panama City;
Costa Rica: San Jose; El Salvador: San Salvador; Moldova: Chisinau; Cyprus: Nicosia;
Malta: Valletta; Luxembourg: Luxembourg City; Fiji: Suva; Bhutan: Thimphu; Bahrain: Manama;
Kuwait: Kuwait City; Cameroon: Yaounde; Chad: N'Djamena; Niger: Niamey; Gabon: Libreville;
Togo: Lome; Liberia: Monrovia; Guinea: Conakry; Gambia: Banjul; Malawi: Lilongwe;
Lesotho: Maseru; Eritrea: Asmara; Mauritania: Nouakchott; Kyrgyzstan: Bishkek;
Tajikistan: Dushanbe; Turkmenistan: Ashgabat; Kazakhstan: Astana; Belize: Belmopan;
Suriname: Paramaribo; Guyana: Georgetown; Samoa: Apia; Tonga: Nuku'alofa
"""

_AUTHORS: Final = """
Hamlet: William Shakespeare; War and Peace: Leo Tolstoy; Don Quixote: Miguel de Cervantes;
Pride and Prejudice: Jane Austen; Oliver Twist: Charles Dickens; Moby-Dick: Herman Melville;
Crime and Punishment: Fyodor Dostoevsky; Les Miserables: Victor Hugo; Ulysses: James Joyce;
The Trial: Franz Kafka; Faust: Johann Wolfgang von Goethe; The Odyssey: Homer;
The Divine Comedy: Dante Alighieri; Frankenstein: Mary Shelley; Dracula: Bram Stoker;
Jane Eyre: Charlotte Bronte; Wuthering Heights: Emily Bronte; Madame Bovary: Gustave Flaubert;
The Great Gatsby: F. Scott Fitzgerald; The Old Man and the Sea: Ernest Hemingway;
The Grapes of Wrath: John Steinbeck; Animal Farm: George Orwell; Brave New World: Aldous Huxley;
The Hobbit: J. R. R. Tolkien; Robinson Crusoe: Daniel Defoe; Gulliver's Travels: Jonathan Swift;
Treasure Island: Robert Louis Stevenson; The Jungle Book: Rudyard Kipling;
Alice in Wonderland: Lewis Carroll; The Time Machine: H. G. Wells;
Around the World in Eighty Days: Jules Verne; The Three Musketeers: Alexandre Dumas;
Candide: Voltaire; The Stranger: Albert Camus; Nausea: Jean-Paul Sartre;
The Little Prince: Antoine de Saint-Exupery; The Magic Mountain: Thomas Mann;
Siddhartha: Hermann Hesse; The Tin Drum: Gunter Grass; A Doll's House: Henrik Ibsen;
The Name of the Rose: Umberto Eco; One Hundred Years of Solitude: Gabriel Garcia Marquez;
The House of the Spirits: Isabel Allende; Things Fall Apart: Chinua Achebe;
Beloved: Toni Morrison; Walden: Henry David Thoreau; The Scarlet Letter: Nathaniel Hawthorne;
The Raven: Edgar Allan Poe; Leaves of Grass: Walt Whitman; Tom Sawyer: Mark Twain;
Little Women: Louisa May Alcott; Heart of Darkness: Joseph Conrad; Middlemarch: George Eliot;
Vanity Fair: William Makepeace Thackeray; Mrs Dalloway: Virginia Woolf;
The Canterbury Tales: Geoffrey Chaucer; Paradise Lost: John Milton; The Aeneid: Virgil;
Dead Souls: Nikolai Gogol; The Cherry Orchard: Anton Chekhov; Pygmalion: George Bernard Shaw;
The Prince: Niccolo Machiavelli
"""

_LANDMARKS: Final = """
the Eiffel Tower: Paris; the Colosseum: Rome; the Parthenon: Athens; Big Ben: London;
the Brandenburg Gate: Berlin; the Sagrada Familia: Barcelona; the Kremlin: Moscow;
the Forbidden City: Beijing; the Taj Mahal: Agra; the Statue of Liberty: New York;
the Golden Gate Bridge: San Francisco; the White House: Washington; the Blue Mosque: Istanbul;
the Little Mermaid: Copenhagen; the Charles Bridge: Prague; the Alhambra: Granada;
the Uffizi Gallery: Florence; the Doge's Palace: Venice; the Leaning Tower: Pisa;
La Scala: Milan; the Prado Museum: Madrid; the Rijksmuseum: Amsterdam; the Atomium: Brussels;
the Belem Tower: Lisbon; the Winter Palace: Saint Petersburg; Schonbrunn Palace: Vienna;
the Burj Khalifa: Dubai; the Petronas Towers: Kuala Lumpur; the CN Tower: Toronto;
the Sydney Opera House: Sydney; Christ the Redeemer: Rio de Janeiro; the Space Needle: Seattle;
the Gateway Arch: St. Louis; the Willis Tower: Chicago; Table Mountain: Cape Town;
Independence Hall: Philadelphia; the Western Wall: Jerusalem; the Fisherman's Bastion: Budapest;
the Vasa Museum: Stockholm; the Munch Museum: Oslo; Wawel Castle: Krakow;
Cologne Cathedral: Cologne; the Zwinger: Dresden; the Golden Pavilion: Kyoto;
the Gateway of India: Mumbai; the Red Fort: Delhi; the Merlion: Singapore;
Temppeliaukio Church: Helsinki; Edinburgh Castle: Edinburgh; Trinity College: Dublin
"""

_INVENTORS: Final = """
the telephone: Alexander Graham Bell; the phonograph: Thomas Edison; dynamite: Alfred Nobel;
the printing press: Johannes Gutenberg; the law of gravitation: Isaac Newton;
the theory of relativity: Albert Einstein; penicillin: Alexander Fleming;
radium: Marie Curie; X-rays: Wilhelm Rontgen; the periodic table: Dmitri Mendeleev;
the theory of evolution: Charles Darwin; the battery: Alessandro Volta;
the radio: Guglielmo Marconi;
the diesel engine: Rudolf Diesel; the saxophone: Adolphe Sax; the lightning rod: Benjamin Franklin;
the rabies vaccine: Louis Pasteur; the smallpox vaccine: Edward Jenner;
the polio vaccine: Jonas Salk; the World Wide Web: Tim Berners-Lee; the electron: J. J. Thomson;
the neutron: James Chadwick; the moons of Jupiter: Galileo Galilei; Uranus: William Herschel;
oxygen: Joseph Priestley; the laws of heredity: Gregor Mendel; the ballpoint pen: Laszlo Biro;
the hot air balloon: the Montgolfier brothers; the steam locomotive: Richard Trevithick;
the cotton gin: Eli Whitney; the sewing machine: Elias Howe; the safety razor: King Gillette;
the zeppelin: Ferdinand von Zeppelin; the Geiger counter: Hans Geiger;
the Braille script: Louis Braille;
the Morse code: Samuel Morse; the mercury thermometer: Daniel Fahrenheit;
the mercury barometer: Evangelista Torricelli; the pendulum clock: Christiaan Huygens;
the planetary laws: Johannes Kepler; the uncertainty principle: Werner Heisenberg;
quantum theory: Max Planck; the Rubik's Cube: Erno Rubik; logarithms: John Napier;
electromagnetic waves: Heinrich Hertz; the revolver: Samuel Colt
"""

_PAINTERS: Final = """
the Mona Lisa: Leonardo da Vinci; The Starry Night: Vincent van Gogh; Guernica: Pablo Picasso;
The Night Watch: Rembrandt; The Scream: Edvard Munch; The Kiss: Gustav Klimt;
Girl with a Pearl Earring: Johannes Vermeer; The Birth of Venus: Sandro Botticelli;
The School of Athens: Raphael; The Persistence of Memory: Salvador Dali; Olympia: Edouard Manet;
Las Meninas: Diego Velazquez; The Third of May: Francisco Goya; Water Lilies: Claude Monet;
The Hay Wain: John Constable; The Fighting Temeraire: William Turner;
American Gothic: Grant Wood; Nighthawks: Edward Hopper;
Liberty Leading the People: Eugene Delacroix;
The Raft of the Medusa: Theodore Gericault; The Creation of Adam: Michelangelo;
The Garden of Earthly Delights: Hieronymus Bosch; The Tower of Babel: Pieter Bruegel;
The Arnolfini Portrait: Jan van Eyck; The Great Wave: Katsushika Hokusai;
Black Square: Kazimir Malevich; The Dance: Henri Matisse; The Card Players: Paul Cezanne;
The Son of Man: Rene Magritte; The Gleaners: Jean-Francois Millet;
The Death of Marat: Jacques-Louis David; The Swing: Jean-Honore Fragonard;
The Two Fridas: Frida Kahlo; Campbell's Soup Cans: Andy Warhol; The Ambassadors: Hans Holbein;
The Assumption of the Virgin: Titian; Ophelia: John Everett Millais; The Fiddler: Marc Chagall
"""

_HEADQUARTERS: Final = """
Nintendo: Kyoto; Sony: Tokyo; BMW: Munich; Fiat: Turin; Michelin: Clermont-Ferrand;
Volkswagen: Wolfsburg; Boeing: Arlington; Ford: Dearborn; Microsoft: Redmond; Intel: Santa Clara;
Amazon: Seattle; Apple: Cupertino; Adobe: San Jose; Nike: Beaverton; Coca-Cola: Atlanta;
Philips: Amsterdam; Lego: Billund; Maersk: Copenhagen; Nokia: Espoo; Ericsson: Stockholm;
Volvo: Gothenburg; Nestle: Vevey; Novartis: Basel; Bayer: Leverkusen; Bosch: Stuttgart;
Adidas: Herzogenaurach; Airbus: Toulouse; Ferrari: Maranello; Prada: Milan; Repsol: Madrid;
Shell: London; Heineken: Amsterdam; Hyundai: Seoul; Samsung: Suwon; Alibaba: Hangzhou;
Huawei: Shenzhen; Lenovo: Beijing; Infosys: Bangalore; Tata: Mumbai; Petrobras: Rio de Janeiro
"""

_BIRTHPLACES: Final = """
Wolfgang Amadeus Mozart: Salzburg; Ludwig van Beethoven: Bonn; Johann Sebastian Bach: Eisenach;
Frederic Chopin: Zelazowa Wola; Richard Wagner: Leipzig; Johannes Brahms: Hamburg;
Antonio Vivaldi: Venice; Galileo Galilei: Pisa; Marie Curie: Warsaw; Albert Einstein: Ulm;
Sigmund Freud: Pribor; Franz Kafka: Prague; Charles Darwin: Shrewsbury; Jane Austen: Steventon;
Charles Dickens: Portsmouth; James Joyce: Dublin; William Shakespeare: Stratford;
Vincent van Gogh: Zundert; Rembrandt: Leiden; Pablo Picasso: Malaga; Salvador Dali: Figueres;
Claude Monet: Paris; Edgar Degas: Paris; Voltaire: Paris; Napoleon Bonaparte: Ajaccio;
Joan of Arc: Domremy; Immanuel Kant: Konigsberg; Karl Marx: Trier; Friedrich Nietzsche: Rocken;
Johann Wolfgang von Goethe: Frankfurt; Martin Luther: Eisleben; Leonhard Euler: Basel;
Carl Friedrich Gauss: Brunswick; Rene Descartes: Descartes; Blaise Pascal: Clermont-Ferrand;
Christopher Columbus: Genoa; Marco Polo: Venice; Dante Alighieri: Florence;
Alexander Graham Bell: Edinburgh; Nikola Tesla: Smiljan; Alfred Nobel: Stockholm;
Hans Christian Andersen: Odense; Edvard Grieg: Bergen; Niels Bohr: Copenhagen;
Abraham Lincoln: Hodgenville; Benjamin Franklin: Boston; Edgar Allan Poe: Boston;
Ernest Hemingway: Oak Park; Elvis Presley: Tupelo; Mahatma Gandhi: Porbandar;
Simon Bolivar: Caracas; Che Guevara: Rosario; Pablo Neruda: Parral; Miguel de Cervantes: Alcala
"""

_RIVERS: Final = """
the Nile: the Mediterranean Sea; the Amazon: the Atlantic Ocean; the Danube: the Black Sea;
the Rhine: the North Sea; the Volga: the Caspian Sea; the Ganges: the Bay of Bengal;
the Mississippi: the Gulf of Mexico; the Elbe: the North Sea; the Rhone: the Mediterranean Sea;
the Po: the Adriatic Sea; the Vistula: the Baltic Sea; the Dnieper: the Black Sea;
the Don: the Sea of Azov; the Thames: the North Sea; the Seine: the English Channel;
the Loire: the Bay of Biscay; the Tagus: the Atlantic Ocean; the Ebro: the Mediterranean Sea;
the Tiber: the Tyrrhenian Sea; the Indus: the Arabian Sea; the Mekong: the South China Sea;
the Yangtze: the East China Sea; the Yellow River: the Bohai Sea; the Amur: the Sea of Okhotsk;
the Lena: the Laptev Sea; the Ob: the Kara Sea; the Yenisei: the Kara Sea;
the Congo: the Atlantic Ocean; the Niger: the Gulf of Guinea; the Zambezi: the Indian Ocean;
the Orinoco: the Atlantic Ocean; the Colorado: the Gulf of California; the Yukon: the Bering Sea;
the Mackenzie: the Beaufort Sea; the Hudson: the Atlantic Ocean; the Columbia: the Pacific Ocean;
the Jordan: the Dead Sea; the Oder: the Baltic Sea; the Irrawaddy: the Andaman Sea;
the Ural: the Caspian Sea; the Mersey: the Irish Sea; the Arno: the Ligurian Sea
"""

#: More cities and people that only stand as objects of invented subjects.
CITIES: Final = tuple(
    """Lyon; Marseille; Seville; Valencia; Porto; Naples; Bologna; Verona; Zurich; Geneva; Bern;
Graz; Nuremberg; Bremen; Rotterdam; Antwerp; Ghent; Bruges; Glasgow; Bristol; Leeds; Cork;
Malmo; Aarhus; Turku; Tartu; Gdansk; Lublin; Brno; Split; Odessa; Kazan; Izmir; Aleppo; Mosul;
Shiraz; Lahore; Chennai; Osaka; Sapporo; Busan; Nanjing; Wuhan; Hue; Cebu; Perth; Auckland;
Lagos; Mombasa; Durban; Casablanca; Fez; Oran; Denver; Austin; Memphis; Montreal; Calgary;
Puebla; Medellin; Cusco; Valparaiso; Cordoba; Recife""".replace("\n", " ").split("; ")
)
PEOPLE: Final = tuple(
    """Clara Lindgren; Oskar Brandt; Paolo Venturi; Ines Carvalho; Tomas Novak; Greta Holm;
Henri Leclerc; Yusuf Demir; Mei Tanaka; Ravi Kapoor; Amara Okoye; Diego Fuentes; Nora Byrne;
Viktor Petrov; Lena Fischer; Samuel Whitlock; Rosa Delgado; Emil Jansen; Hana Kimura;
Karim Haddad; Edith Marlowe; Jonas Keller; Sofia Ricci; Pavel Dvorak; Agnes Thornton;
Mateo Vargas; Ingrid Solberg; Farid Nasser; Julia Weiss; Martin Ashby""".replace("\n", " ").split(
        "; "
    )
)
SEAS: Final = (
    "the Red Sea", "the Aegean Sea", "the White Sea", "the Coral Sea", "the Tasman Sea",
    "the Sea of Japan", "the Persian Gulf", "the Gulf of Bothnia", "the Gulf of Aden",
    "the Barents Sea", "the Timor Sea", "the Celtic Sea", "the Ionian Sea", "the Java Sea",
    "Lake Victoria", "Lake Geneva", "Lake Chad", "Lake Balkhash", "Lake Ontario",
    "Lake Superior",
)  # fmt: skip


def parse_pairs(table: str) -> tuple[tuple[str, str], ...]:
    """The (subject, object) pairs of one table, in its order."""
    pairs = []
    for entry in table.replace("\n", " ").split(";"):
        subject, _, value = entry.partition(": ")
        pairs.append((subject.strip(), value.strip()))
    return tuple(pairs)


#: relation name -> its (subject, object) pairs, best known first.
REAL_FACTS: Final = {
    "capital": parse_pairs(_CAPITALS),
    "author": parse_pairs(_AUTHORS),
    "landmark": parse_pairs(_LANDMARKS),
    "inventor": parse_pairs(_INVENTORS),
    "painter": parse_pairs(_PAINTERS),
    "headquarters": parse_pairs(_HEADQUARTERS),
    "birthplace": parse_pairs(_BIRTHPLACES),
    "river": parse_pairs(_RIVERS),
}
