"""Words around and in people's names, for the recogniser."""

from __future__ import annotations

from .wording import words

__all__ = [
    "DESCRIBING",
    "EITHER_NAMES",
    "ENDINGS",
    "GENERIC_WORDS",
    "HEADS",
    "LEADS",
    "NO_SURNAMES",
    "RATHER_NAMES",
    "SHORT_NAMES",
    "TITLES",
]


def _genders(m: str, f: str, unknown: str = "", b: str = "") -> dict[str, str]:
    """The words of each list with what it says: "m", "f", "b" (both) or ""."""
    lists = {"m": m, "f": f, "b": b, "": unknown}
    return {word: gender for gender, text in lists.items() for word in text.split()}


#: Titles before a name; the value is the gender they say.
TITLES = _genders(
    m="""
        mr mister sir lord king prince uncle emperor pope father brother congressman
        chairman actor spokesman duke count baron sultan czar tsar monsieur herr friar
        priest
    """,
    f="""
        mrs ms miss madam lady queen princess empress aunt sister congresswoman actress
        spokeswoman duchess dowager countess baroness nun madame
    """,
    unknown="""
        saint dr doctor prof professor president senator sen rep gov governor captain capt
        officer detective judge coach inspector sergeant general gen colonel col lt sgt
        major reverend rev chancellor minister ambassador director mayor historian filmmaker
        writer secretary sheriff lieutenant bishop archbishop scientist economist journalist
        reporter suspect defendant owner manager analyst author singer consort inventor
        agent private commander admiral rabbi imam nurse
    """,
)

#: First names that are family names as well: for a name that may be either.
EITHER_NAMES = _genders(
    m="""
        thomas lewis scott gordon graham douglas stewart cameron elliott mitchell russell carter
        mason logan tyler craig grant keith ross stuart nelson bradley clayton spencer harrison
        curtis howard lawrence warren
    """,
    f="taylor morgan kelly leslie ashley harper bailey courtney shelby mackenzie madison",
)

#: Words that are names when another name follows.
RATHER_NAMES = words(
    """
    bill frank ray dean carl lee russell victor warren glenn dale chuck rob rich nick pat drew
    grace rose holly heather ruby
    """
)

#: Names that are sure although they are short, or are words or places too; the value is the gender.
SHORT_NAMES = _genders(
    m="""
        tom bob ben tim dan jim joe ian ted ken ron jon roy leo eli john peter paul james
        david michael george mike jack henry martin thomas robert steve
    """,
    f="""
        amy ann zoe eva mia liz meg lisa carol jane mary anna emma sara sarah kate maria
    """,
    b="""
        sam kim
    """,
    unknown="""
        mark
    """,
)

#: Last words of names, by what they make of the name: "Harvard University", "Hudson River".
ENDINGS = {
    "ORG": words(
        """
        inc corp corporation company co ltd llc group bank university college school institute
        foundation society association union league club fc orchestra church party committee council
        agency ministry commission airlines records pictures studios productions entertainment
        motors publishing newspaper magazine journal gazette tribune herald technologies systems
        industries holdings brothers sisters laboratories dynasty
        """
    ),
    "FAC": words(
        """
        street road avenue lane boulevard drive bridge tower stadium arena airport museum hospital
        hotel theatre theater hall palace castle cathedral chapel abbey monastery temple station
        library gallery park square prison fort fortress mill plaza terrace crescent cemetery
        """
    ),
    "EVENT": words(
        """
        festival war wars championship championships tournament marathon uprising rebellion revolt
        conference congress summit treaty protocol accord awards award prize cup derby
        """
    ),
    "LOC": words(
        """
        river lake mountain mountains mount island islands beach bay valley creek falls sea ocean
        desert canyon gorge forest reef peninsula strait glacier hills plateau swamp
        """
    ),
}
#: Words before "of" that make a name: "University of Leeds", "Battle of Hastings".
HEADS = {
    "university": "ORG", "bank": "ORG", "college": "ORG", "church": "ORG", "institute": "ORG",
    "battle": "EVENT", "siege": "EVENT", "treaty": "EVENT", "massacre": "EVENT",
    "isle": "LOC", "gulf": "LOC", "bay": "LOC",
}  # fmt: skip
#: Words before a name: "Lake Superior", "Mount Hood", "Fort Worden".
LEADS = {"lake": "LOC", "mount": "LOC", "river": "LOC", "fort": "FAC", "camp": "FAC"}

#: Last words of the names of organisations, places and works: no family names.
NO_SURNAMES = frozenset().union(*ENDINGS.values()) | words(
    """
    hill city county state center centre house trophy open masters grand prix trust fund project
    team band battle act law theory theorem effect day week times post news magazine air books press
    court department office service services force forces navy police parliament senate government
    international national gate garden gardens springs cove pier port cape range peak opera cinema
    restaurant cafe café bar pub inn motel resort spa bakery market mall shop store factory plant
    farm ranch studio show album song film movie trilogy series saga syndrome disease scale constant
    medal program programme initiative inquiry report bill amendment doctrine plan pact agreement
    convention forum campaign administration cabinet empire kingdom republic family sons clan arts
    media music sports games films comics foods building
    block district quarter zoo aquarium mosque synagogue memorial monument statue fountain
    """
)
#: Words that name nothing by themselves inside longer names.
DESCRIBING = words(
    """
    national royal international state states supreme federal united central first second third
    fourth fifth sixth seventh eighth ninth tenth great grand new old north south east west northern
    southern eastern western world global public general high higher middle lower upper free civil
    american british european african asian roman catholic people's peoples' main big little long
    red green blue black white democratic republican liberal conservative labour labor communist
    social
    socialist christian war air naval olympic super annual local city county
    """
)
#: Words of names that name nothing by themselves.
GENERIC_WORDS = words(
    """
    the and of city saint san santa new republic united states kingdom islands island south north
    east west river rivers lake mount mountain empire ocean desert great falls rainforest museum art
    national gallery queen king empress emperor prince princess pope dr mr mrs jr sr ii iii iv
    operation war wars
    """
)
