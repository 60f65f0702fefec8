"""Makes the tables of the example `readmission` anew, from a simulated hospital.

    python -m venv clinosim && clinosim/bin/pip install clinosim==0.6.5
    python docs/make_readmission.py clinosim/bin/clinosim

`clinosim` (MIT licence) makes up patients, stays, diagnoses and laboratory values; nobody is real.
Four towns of 4,500 people, seeds 1 to 4, 2022 to 2024: half an hour of one core. Kept are those who
were in the emergency department or on a ward, and of them only the columns that the example uses,
and the first time of each diagnosis that is an illness. The files lie in
`tasks/sources/examples/hospital/`.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER: Final = Path(__file__).parent.parent / "tasks" / "sources" / "examples" / "hospital"
FROM, TO = "2022-01-01", "2025-01-01"
SEEDS: Final = {1: "A", 2: "B", 3: "C", 4: "D"}
"""Of each town, and the letter that its patients' numbers begin with."""
PEOPLE: Final = 4500
BIRTHS: Final = ("Z37", "Z38")
"""Diagnoses of mothers and of the newborn: their stays are planned, and are left out."""
NAMES: Final = {
    "encounter_type": "kind",
    "admission_datetime": "admitted",
    "discharge_datetime": "discharged",
}
TESTS: Final = ("CRP", "Creatinine", "Hb", "Na")


def simulate(clinosim: str, seed: int, out: Path) -> Path:
    """Simulate one town, and give the folder of its tables."""
    asked = ["-p", str(PEOPLE), "-s", str(seed), "--start", FROM, "--end", TO]
    command = [clinosim, "simulate", "--country", "US", *asked, "--format", "csv", "-o", str(out)]
    subprocess.run(command, check=True)  # noqa: S603  # what the caller named
    return out / "csv"


def read(town: Path, letter: str, name: str) -> pd.DataFrame:
    """Read one table of a town, its patients by their numbers here."""
    table = pd.read_csv(town / f"{name}.csv", dtype=str, keep_default_na=False)
    return table.assign(patient=letter + table["patient_id"].str.removeprefix("POP"))


def choose(town: Path, letter: str) -> dict[str, pd.DataFrame]:
    """Give what the example uses of one town."""
    visits = read(town, letter, "encounters").merge(
        read(town, letter, "diagnoses").drop_duplicates("encounter_id"),
        on=["encounter_id", "patient"],
    )
    code = visits["discharge_diagnosis_code"].str[:3]
    visits = visits.assign(code=code)[~code.isin(BIRTHS)]
    visits = visits.rename(columns=NAMES)
    for moment in ("admitted", "discharged"):
        visits[moment] = pd.to_datetime(visits[moment], format="mixed").dt.floor("min")
    visits = visits.dropna(subset=["discharged"]).sort_values(["patient", "admitted", "code"])
    stays = visits[visits["kind"].isin(["inpatient", "emergency"])]
    died = stays[stays["deceased"] == "True"].groupby("patient")["discharged"].max()
    roster = read(town, letter, "patients").drop_duplicates("patient")
    roster = roster[roster["patient"].isin(stays["patient"])].sort_values("patient")
    until = roster["patient"].map(died).fillna(pd.Timestamp(TO)).dt.date
    coded = visits[visits["patient"].isin(stays["patient"]) & ~visits["code"].str.match("Z|$")]
    labs = read(town, letter, "lab_results")
    labs = labs[labs["patient"].isin(stays["patient"]) & labs["lab_name"].isin(TESTS)]
    labs = labs.assign(
        test=labs["lab_name"],
        value=pd.to_numeric(labs["value"], errors="coerce").astype("float32"),
        known=pd.to_datetime(labs["result_datetime"], format="mixed").dt.floor("min"),
    ).sort_values(["patient", "known", "test"])
    return {
        "patients": roster.assign(age=roster["age"].astype(int), seen_until=until)[
            ["patient", "age", "sex", "smoking_status", "seen_until"]
        ],
        "stays": stays[["patient", "kind", "admitted", "discharged"]],
        "diagnoses": coded.drop_duplicates(["patient", "code"])[
            ["patient", "code", "admitted", "discharged"]
        ],
        "labs": labs[["patient", "test", "value", "unit", "known"]],
    }


def write(name: str, table: pd.DataFrame) -> None:
    """Write one table, small."""
    made = pa.Table.from_pandas(table, preserve_index=False)
    schema = pa.schema([
        field.with_type(pa.timestamp("ms")) if pa.types.is_timestamp(field.type) else field
        for field in made.schema
    ])  # fmt: skip
    pq.write_table(
        made.cast(schema.remove_metadata(), safe=False), FOLDER / f"{name}.parquet",
        compression="zstd", compression_level=19, store_schema=False,
    )  # fmt: skip


def main() -> None:
    """Simulate the towns, or take what was simulated into the folders that are named."""
    with tempfile.TemporaryDirectory() as made:
        towns = {
            letter: Path(sys.argv[1 + place]) / "csv"
            if len(sys.argv) > 2
            else simulate(sys.argv[1], seed, Path(made) / letter)
            for place, (seed, letter) in enumerate(SEEDS.items())
        }
        chosen = [choose(town, letter) for letter, town in towns.items()]
    FOLDER.mkdir(exist_ok=True)
    for name in chosen[0]:
        write(name, pd.concat([town[name] for town in chosen], ignore_index=True))


if __name__ == "__main__":
    main()
