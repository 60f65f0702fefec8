"""Makes a database in the form of OMOP's CDM 5.4 of the made-up hospital of `readmission`.

    python docs/omop/make_tables.py sqlite:///cdm.db [LOAD [PEOPLE]]

Nobody is real. It has 8,591 people, and of the CDM the tables and columns that the page "From OMOP"
uses. Concepts have the numbers of OMOP's vocabulary where the hospital's codes have one, and 0
elsewhere. `person_id` is drawn anew for each LOAD, a number, as loads of real databases do it;
`person_source_value` lasts. Of PEOPLE, a number, only the first are there. Beside a SQLite file it
writes `consents.csv`.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import sqlalchemy as sa

HOSPITAL: Final = (
    Path(__file__).resolve().parents[2] / "tasks" / "sources" / "examples" / "hospital"
)
END: Final = pd.Timestamp("2025-01-01")
CONDITIONS: Final = {"E11": 201826, "I50": 316139, "I25": 317576, "J44": 255573, "N18": 46271022}
TESTS: Final = {"Creatinine": (3016723, 8840), "CRP": (3020460, 8751),
                "Hb": (3000963, 8713), "Na": (3019550, 8753)}  # fmt: skip
VISITS: Final = {"inpatient": 9201, "outpatient": 9202, "emergency": 9203}
BELOW: Final = {201820: [201826], 321588: [316139, 317576], 4063381: [255573]}
"""Diabetes, heart disease and chronic disease of the lungs, each with what is below it here."""
METFORMIN: Final = 1503297
DYING: Final = 0.1


def read(name: str) -> pd.DataFrame:
    """Read one table of the hospital."""
    return pd.read_parquet(HOSPITAL / f"{name}.parquet")


def make_people(load: int, number: int | None = None) -> pd.DataFrame:
    """Number the first people for a load; who dies does so after their last stay, in any load."""
    people, drawn = read("patients").sort_values("patient"), np.random.default_rng(7)
    last = read("stays").groupby("patient")["discharged"].max().dt.normalize()
    people["last"] = people["patient"].map(last).fillna(END - pd.Timedelta(days=400))
    people["died"] = people["last"] + pd.to_timedelta(drawn.integers(5, 300, len(people)), "D")
    dies = (drawn.random(len(people)) < DYING) & (people["died"] < END) & (people["age"] > 50)
    people["died"] = people["died"].where(dies)
    people["person_id"] = np.random.default_rng(load).permutation(len(people)) + 1
    return people.set_index("patient", drop=False)[:number]


def make_tables(people: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the tables of the CDM."""
    ids, number = people["person_id"], len(people)
    stays, diagnoses, labs = (read(name) for name in ("stays", "diagnoses", "labs"))
    diabetics = diagnoses[diagnoses["code"].str.startswith("E11")].drop_duplicates("patient")
    dead = people[people["died"].notna()]
    tables = {
        "person": pd.DataFrame({
            "person_id": ids,
            "gender_concept_id": people["sex"].map({"M": 8507, "F": 8532}),
            "year_of_birth": 2025 - people["age"],
            "person_source_value": people["patient"],
        }),
        "observation_period": pd.DataFrame({
            "person_id": ids,
            "observation_period_start_date": [pd.Timestamp("2022-01-01").date()] * number,
            "observation_period_end_date": people["died"].fillna(END).dt.date,
            "period_type_concept_id": 32817,
        }),
        "death": pd.DataFrame({
            "person_id": dead["person_id"],
            "death_date": dead["died"].dt.date,
            "death_type_concept_id": 32817,
        }),
        "visit_occurrence": pd.DataFrame({
            "person_id": stays["patient"].map(ids),
            "visit_concept_id": stays["kind"].map(VISITS).fillna(0).astype(int),
            "visit_start_date": stays["admitted"].dt.date,
            "visit_end_date": stays["discharged"].dt.date,
        }),
        "condition_occurrence": pd.DataFrame({
            "person_id": diagnoses["patient"].map(ids),
            "condition_concept_id": diagnoses["code"].str[:3].map(CONDITIONS).fillna(0).astype(int),
            "condition_start_date": diagnoses["admitted"].dt.date,
            "condition_end_date": diagnoses["discharged"].dt.date,
            "condition_source_value": diagnoses["code"],
        }),
        "drug_exposure": pd.DataFrame({
            "person_id": diabetics["patient"].map(ids),
            "drug_concept_id": METFORMIN,
            "drug_exposure_start_date": diabetics["discharged"].dt.date,
            "drug_exposure_end_date": (diabetics["discharged"] + pd.Timedelta(days=90)).dt.date,
        }),
        "measurement": pd.DataFrame({
            "person_id": labs["patient"].map(ids),
            "measurement_concept_id": labs["test"].map(lambda test: TESTS[test][0]),
            "measurement_date": labs["known"].dt.date,
            "value_as_number": labs["value"].astype(float),
            "unit_concept_id": labs["test"].map(lambda test: TESTS[test][1]),
        }),
    }  # fmt: skip
    for name in ("visit_occurrence", "condition_occurrence", "drug_exposure", "measurement"):
        kept = tables[name].dropna(subset="person_id").astype({"person_id": int})
        tables[name] = kept
        kept.insert(0, f"{name}_id", range(1, len(kept) + 1))
    return tables | make_vocabulary()


def make_vocabulary() -> dict[str, pd.DataFrame]:
    """Make what of the vocabulary the concepts here need; a concept is its own ancestor."""
    known = {*CONDITIONS.values(), *BELOW}
    pairs = [(one, one) for one in sorted(known)]
    pairs += [(above, one) for above, below in BELOW.items() for one in below]
    ancestors = pd.DataFrame(pairs, columns=["ancestor_concept_id", "descendant_concept_id"])
    return {"concept_ancestor": ancestors}


def make_consents(people: pd.DataFrame) -> pd.DataFrame:
    """Let most people consent by their lasting identifier, some not, and some withdraw."""
    drawn = np.random.default_rng(11).random(len(people))
    given = pd.DataFrame({
        "person": people["patient"], "status": np.where(drawn < 0.95, "given", "refused"),
        "at": "2024-02-01T10:00:00Z", "language": "en", "version": 1,
    })  # fmt: skip
    withdrawn = given[drawn < 0.03].assign(status="withdrawn", at="2024-11-01T10:00:00Z")
    return pd.concat([given, withdrawn])


def main(url: str, load: int = 1, number: int | None = None) -> None:
    """Write the tables of one load; those of an earlier one are replaced."""
    people, engine = make_people(load, number), sa.create_engine(url)
    for name, table in make_tables(people).items():
        table.to_sql(name, engine, if_exists="replace", index=False, chunksize=20_000)
    folder = Path(engine.url.database or "").parent if engine.dialect.name == "sqlite" else Path()
    make_consents(people).to_csv(folder / "consents.csv", index=False)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
