"""Public-domain proverbs without their last word, and other words to end them."""

from __future__ import annotations

from typing import Final

__all__ = ["END_WORDS", "PROVERBS"]

PROVERBS: Final = tuple(
    line.strip()
    for line in """
    Better late than never
    Actions speak louder than words
    The early bird catches the worm
    Practice makes perfect
    Honesty is the best policy
    All that glitters is not gold
    Rome was not built in a day
    A stitch in time saves nine
    Too many cooks spoil the broth
    Where there is smoke there is fire
    The pen is mightier than the sword
    When in Rome do as the Romans do
    Every cloud has a silver lining
    A picture is worth a thousand words
    Birds of a feather flock together
    Curiosity killed the cat
    Do not count your chickens before they hatch
    Do not put all your eggs in one basket
    Fortune favours the bold
    Great minds think alike
    Haste makes waste
    Ignorance is bliss
    Knowledge is power
    Laughter is the best medicine
    Let sleeping dogs lie
    Look before you leap
    Necessity is the mother of invention
    No man is an island
    No news is good news
    Out of sight, out of mind
    Two wrongs do not make a right
    You cannot teach an old dog new tricks
    An apple a day keeps the doctor away
    Absence makes the heart grow fonder
    All good things must come to an end
    All roads lead to Rome
    Beggars cannot be choosers
    Blood is thicker than water
    Cleanliness is next to godliness
    Do not bite the hand that feeds you
    Easy come, easy go
    Every dog has its day
    Familiarity breeds contempt
    First come, first served
    Good things come to those who wait
    Half a loaf is better than none
    Hope for the best, prepare for the worst
    If it is not broken, do not fix it
    It takes two to tango
    It is no use crying over spilt milk
    Keep your friends close and your enemies closer
    Kill two birds with one stone
    Like father, like son
    Make hay while the sun shines
    Money is the root of all evil
    Once bitten, twice shy
    One good turn deserves another
    Prevention is better than cure
    Silence is golden
    Strike while the iron is hot
    The apple does not fall far from the tree
    The grass is always greener on the other side
    The road to hell is paved with good intentions
    The squeaky wheel gets the grease
    There is no place like home
    There is no such thing as a free lunch
    Time and tide wait for no man
    Time is money
    Two heads are better than one
    Variety is the spice of life
    What goes around comes around
    When the cat is away the mice will play
    Where there is a will there is a way
    You cannot judge a book by its cover
    You reap what you sow
    A bird in the hand is worth two in the bush
    A chain is only as strong as its weakest link
    A fool and his money are soon parted
    A friend in need is a friend indeed
    A watched pot never boils
    """.strip().splitlines()
)
END_WORDS: Final = (
    "bread", "garden", "river", "window", "music", "winter", "paper", "silver", "mountain",
    "candle", "orange", "village", "thunder", "coffee", "shadow", "bicycle", "market", "honey",
    "feather", "harbour", "lantern", "ocean", "pepper", "school", "spring", "station", "summer",
    "teacher", "valley", "violin",
)  # fmt: skip
