"""Words around and in people's names, for the recogniser."""

from __future__ import annotations

from .wording import words

__all__ = ["NO_SURNAMES", "RATHER_NAMES", "SHORT_NAMES", "TITLES"]

#: Titles before a name; the value is the gender they say.
TITLES = {
    "mr": "m",
    "mister": "m",
    "sir": "m",
    "lord": "m",
    "king": "m",
    "prince": "m",
    "uncle": "m",
    "mrs": "f",
    "ms": "f",
    "miss": "f",
    "madam": "f",
    "lady": "f",
    "queen": "f",
    "princess": "f",
    "empress": "f",
    "emperor": "m",
    "pope": "m",
    "saint": "",
    "aunt": "f",
    "dr": "",
    "doctor": "",
    "prof": "",
    "professor": "",
    "president": "",
    "senator": "",
    "sen": "",
    "rep": "",
    "gov": "",
    "governor": "",
    "captain": "",
    "capt": "",
    "officer": "",
    "detective": "",
    "judge": "",
    "coach": "",
    "inspector": "",
    "sergeant": "",
    "general": "",
    "gen": "",
    "colonel": "",
    "col": "",
    "lt": "",
    "sgt": "",
    "major": "",
    "reverend": "",
    "rev": "",
    "father": "m",
    "sister": "f",
    "brother": "m",
    "chancellor": "",
    "minister": "",
    "ambassador": "",
    "director": "",
    "mayor": "",
    "congressman": "m",
    "congresswoman": "f",
    "chairman": "m",
    "historian": "",
    "filmmaker": "",
    "actor": "m",
    "actress": "f",
    "writer": "",
    "secretary": "",
    "spokesman": "m",
    "spokeswoman": "f",
    "sheriff": "",
    "lieutenant": "",
    "bishop": "",
    "archbishop": "",
    "scientist": "",
    "economist": "",
    "journalist": "",
    "reporter": "",
    "suspect": "",
    "defendant": "",
    "owner": "",
    "manager": "",
    "analyst": "",
    "author": "",
    "singer": "",
}

#: Words that are names when another name follows.
RATHER_NAMES = words(
    """
    bill frank ray dean carl lee russell victor warren glenn dale chuck rob rich nick pat drew
    grace rose holly heather ruby
    """
)

#: Names that are sure although they are short, or are words or places too; the value is the gender.
SHORT_NAMES = {
    "tom": "m",
    "bob": "m",
    "ben": "m",
    "tim": "m",
    "dan": "m",
    "jim": "m",
    "joe": "m",
    "ian": "m",
    "ted": "m",
    "ken": "m",
    "ron": "m",
    "jon": "m",
    "roy": "m",
    "leo": "m",
    "eli": "m",
    "sam": "b",
    "amy": "f",
    "ann": "f",
    "zoe": "f",
    "eva": "f",
    "mia": "f",
    "liz": "f",
    "kim": "b",
    "meg": "f",
    "lisa": "f",
    "john": "m",
    "peter": "m",
    "mark": "",
    "carol": "f",
    "jane": "f",
    "paul": "m",
    "james": "m",
    "david": "m",
    "michael": "m",
    "george": "m",
    "mary": "f",
    "anna": "f",
    "mike": "m",
    "emma": "f",
    "sara": "f",
    "sarah": "f",
    "kate": "f",
    "jack": "m",
    "maria": "f",
    "henry": "m",
    "martin": "m",
    "thomas": "m",
    "robert": "m",
    "steve": "m",
}

#: Last words of the names of organisations, places and works: no family names.
NO_SURNAMES = words(
    """
    inc corp corporation company co ltd llc group bank university college school hospital institute
    museum foundation society association union party church street road avenue lane park river lake
    mountain mount bridge tower island islands beach bay valley hill hills city county state station
    airport stadium arena center centre hotel house hall palace castle temple award awards prize cup
    league club team band orchestra war battle treaty act law theory theorem effect day week
    festival times post news magazine journal airlines air motors records pictures studios
    productions entertainment press books committee council court department ministry office agency
    service services force forces army navy police parliament congress senate government
    international national square gate garden gardens court plaza drive boulevard terrace crescent
    creek falls springs cove pier port cape canyon desert reef range peak gallery library theatre
    theater opera cinema restaurant cafe café bar pub inn motel resort spa bakery market mall shop
    store factory plant farm ranch studio show album song film movie trilogy series saga syndrome
    disease scale constant medal trophy open masters grand prix trust fund project program
    initiative commission inquiry report bill amendment doctrine plan pact accord agreement protocol
    convention summit conference forum campaign administration cabinet dynasty empire kingdom
    republic family brothers sisters sons clan building block district quarter zoo aquarium chapel
    cathedral abbey monastery mosque synagogue cemetery memorial monument statue fountain
    """
)
