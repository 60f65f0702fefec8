"""A column of our own for survey.yaml: a woman's years of marriage, judged by her age.

Each value depends on its own row and on the constants here alone. The survey gave codes for both
(middles of bands, such as 27 and 6.0), so this is a band as well.
"""

import pandas as pd

ADULT = 18  # from this age on, years can have been spent married
MOST = 0.65  # from this share of her adult years on: most of them
SOME = 0.30  # from this share on: some of them; below: few


def life_married(rows: pd.DataFrame) -> pd.Series:
    """Put the share of her adult years that a woman has been married into three bands."""
    years = rows["yrs_married"].astype("float64")
    adult = (rows["age"].astype("float64") - ADULT).clip(lower=1)
    share = years / adult
    band = pd.Series("few years", index=rows.index, dtype=object)
    band[share >= SOME] = "some years"
    band[share >= MOST] = "most years"
    return band.where(share.notna())  # not known where age or years are not
